//! Packer's machine-readable lines: `TIME,TARGET,TYPE,DATA…`, one for each message.
//!
//! A *line* begins with Unix seconds; the target is a build's name, or empty for what concerns no
//! single build. The format has no quoting: within data a comma is written `%!(PACKER_COMMA)`, a
//! line feed `\n` and a carriage return `\r`, and nothing else is changed. Scripts split these
//! lines at commas, so the bytes are Packer's.

use crate::mask::Masker;
use jiff::Timestamp;

/// Returns one line with its line feed, in which no secret of `masker` stands.
pub fn line(time: Timestamp, target: &str, kind: &str, data: &[&str], masker: &Masker) -> String {
    // Before escapes are put in, which would tear a secret of several lines apart.
    let data: Vec<String> = data.iter().map(|text| escape(&masker.mask(text))).collect();
    format!(
        "{},{},{kind},{}\n",
        time.as_second(),
        masker.mask(target),
        data.join(",")
    )
}

fn escape(text: &str) -> String {
    text.replace(',', "%!(PACKER_COMMA)")
        .replace('\r', "\\r")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_packers() {
        let time = Timestamp::from_second(1_795_246_094).expect("a time of this century");
        let masker = Masker::new(["hun\nter2"]);
        for (target, kind, data, expected) in [
            ("", "version", &["1.6.6"][..], "1795246094,,version,1.6.6\n"),
            (
                "",
                "version-prelease",
                &[""],
                "1795246094,,version-prelease,\n",
            ),
            (
                "file.b",
                "artifact",
                &["0", "end"],
                "1795246094,file.b,artifact,0,end\n",
            ),
            (
                "",
                "ui",
                &["say", "\n==> a, b\r\n\"é\" \\n"],
                "1795246094,,ui,say,\\n==> a%!(PACKER_COMMA) b\\r\\n\"é\" \\n\n",
            ),
            (
                "hun\nter2",
                "error",
                &["is hun\nter2!"],
                "1795246094,<sensitive>,error,is <sensitive>!\n",
            ),
        ] {
            assert_eq!(line(time, target, kind, data, &masker), expected);
        }
    }
}
