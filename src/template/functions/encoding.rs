//! Functions between text and its encodings: Base64, gzip, CSV, JSON, YAML, URLs, other character
//! sets.

use super::character_sets::CharacterSet;
use super::csv_text::{CsvError, Records};
use super::json_text;
use super::signature::{
    Arguments, Function, Kind, Parameter, check_element_count, check_text_size,
};
use super::{FunctionContext, FunctionError, yaml_decode, yaml_encode};
use crate::template::value::{Type, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

/// The operating system in a gzip header that stands for "unknown" (RFC 1952, section 2.3.1).
const UNKNOWN_SYSTEM: u8 = 255;

const TEXT: &[Parameter] = &[Parameter::new("str", Kind::String)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("base64decode", Kind::String, base64decode).parameters(TEXT),
    Function::new("base64encode", Kind::String, base64encode).parameters(TEXT),
    Function::new("base64gzip", Kind::String, base64gzip).parameters(TEXT),
    Function::new("csvdecode", Kind::Anything, csvdecode).parameters(TEXT),
    Function::new("jsondecode", Kind::Anything, jsondecode).parameters(TEXT),
    Function::new("jsonencode", Kind::String, jsonencode)
        .parameters(&[Parameter::new("val", Kind::Anything).or_null()])
        .looks_inside(),
    Function::new("textdecodebase64", Kind::String, textdecodebase64).parameters(&[
        Parameter::new("source", Kind::String),
        Parameter::new("encoding", Kind::String),
    ]),
    Function::new("textencodebase64", Kind::String, textencodebase64).parameters(&[
        Parameter::new("string", Kind::String),
        Parameter::new("encoding", Kind::String),
    ]),
    Function::new("urlencode", Kind::String, urlencode).parameters(TEXT),
    Function::new("yamldecode", Kind::Anything, yamldecode)
        .parameters(&[Parameter::new("src", Kind::String)]),
    Function::new("yamlencode", Kind::String, yamlencode)
        .parameters(&[Parameter::new("value", Kind::Anything).or_null()])
        .looks_inside(),
];

type Outcome = Result<Value, FunctionError>;

fn base64encode(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    Ok(Value::string(STANDARD.encode(arguments.string(0)?)))
}

fn base64decode(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let bytes = from_base64(arguments)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        FunctionError::new("the result of decoding the provided string is not valid UTF-8")
    })?;
    Ok(Value::string(text))
}

/// Line ends within the text are no part of it: as in Go.
fn from_base64(arguments: &Arguments<'_>) -> Result<Vec<u8>, FunctionError> {
    let text = arguments.string(0)?.replace(['\r', '\n'], "");
    STANDARD
        .decode(text)
        .map_err(|error| FunctionError::at(0, format!("failed to decode base64 data: {error}")))
}

fn base64gzip(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let mut gzip = GzBuilder::new()
        .operating_system(UNKNOWN_SYSTEM)
        .write(Vec::new(), Compression::default());
    let compressed = gzip
        .write_all(arguments.string(0)?.as_bytes())
        .and_then(|()| gzip.finish())
        .map_err(|error| FunctionError::new(format!("failed to compress: {error}")))?;
    Ok(Value::string(STANDARD.encode(compressed)))
}

fn csvdecode(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let not_a_table = |error: CsvError| FunctionError::new(error.to_string());
    let mut records = Records::of(arguments.string(0)?);
    let header = records
        .next()
        .ok_or_else(|| FunctionError::new("missing header line"))?
        .map_err(not_a_table)?;
    let mut names: Vec<Arc<str>> = Vec::with_capacity(header.len());
    let mut types = BTreeMap::new();
    for name in header {
        let name: Arc<str> = Arc::from(name);
        if types.insert(name.clone(), Type::String).is_some() {
            return Err(FunctionError::new(format!(
                "duplicate column name {name:?}"
            )));
        }
        names.push(name);
    }
    let mut rows = Vec::new();
    for record in records {
        let fields = record.map_err(not_a_table)?;
        let cells = names.iter().cloned().zip(fields.iter().map(Value::string));
        rows.push(Value::object(cells));
        check_element_count(rows.len().checked_mul(names.len()))?;
    }
    Ok(Value::list(Type::Object(types), rows))
}

fn jsondecode(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    json_text::decode(arguments.string(0)?)
}

fn jsonencode(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    json_text::encode(arguments.value(0)?).map(Value::string)
}

fn yamldecode(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    yaml_decode::decode(arguments.string(0)?)
}

fn yamlencode(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    yaml_encode::encode(arguments.value(0)?).map(Value::string)
}

fn textencodebase64(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let set = character_set(arguments)?;
    let bytes = set.encode(arguments.string(0)?).map_err(|letter| {
        FunctionError::at(
            0,
            format!("the string contains {letter:?}, which cannot be represented in {set}"),
        )
    })?;
    Ok(Value::string(STANDARD.encode(bytes)))
}

fn textdecodebase64(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let set = character_set(arguments)?;
    let bytes = from_base64(arguments)?;
    let text = set.decode(&bytes).ok_or_else(|| {
        FunctionError::at(
            0,
            format!("the decoded data contains what is not valid in {set}"),
        )
    })?;
    Ok(Value::string(text))
}

fn character_set(arguments: &Arguments<'_>) -> Result<CharacterSet, FunctionError> {
    let name = arguments.string(1)?;
    CharacterSet::named(name).ok_or_else(|| {
        FunctionError::at(
            1,
            format!("{name:?} is not a supported IANA encoding name or alias"),
        )
    })
}

fn urlencode(arguments: &Arguments<'_>, _context: &FunctionContext<'_>) -> Outcome {
    let text = arguments.string(0)?;
    check_text_size(text.len().checked_mul(3))?;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    Ok(Value::string(encoded))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    pub(in super::super) const CASES: &str = r##"
base64encode("héllo") = "aMOpbGxv"
base64encode("") = ""
base64decode("aMOpbGxv") = "héllo"
base64decode("aMOp\r\nbGxv") = "héllo"
base64decode("aMOpbGx") = error: failed to decode base64 data
base64decode("a-_=") = error: failed to decode base64 data
base64decode("/w==") = error: not valid UTF-8
csvdecode("a,b\n1,2\n3,\n") = [{"a":"1","b":"2"},{"a":"3","b":""}]
csvdecode("a,b\r\n\"x\r\ny\",\"q\"\"q\"\r\n\r\n1,2") = [{"a":"x\ny","b":"q\"q"},{"a":"1","b":"2"}]
csvdecode("a\n") = []
csvdecode("a") = []
csvdecode("a\n\"x\"") = [{"a":"x"}]
csvdecode("a\n x ") = [{"a":" x "}]
csvdecode("\n\na\n\nb\n") = [{"a":"b"}]
csvdecode("") = error: missing header line
csvdecode("\n") = error: missing header line
csvdecode("a,a\n1,2") = error: duplicate column name "a"
csvdecode("a,b\n1\n") = error: CSV parse error on line 2: wrong number of fields
csvdecode("a,b\n1,x\"y\n") = error: CSV parse error on line 2: bare " in non-quoted field
csvdecode("a,b\n1,\"xy") = error: extraneous or missing " in quoted-field
csvdecode("a,b\n1,\"x\"y") = error: extraneous or missing " in quoted-field
jsonencode({"b": [1, null, true], "a": "x<y>&z"}) = "{\"a\":\"x\\u003cy\\u003e\\u0026z\",\"b\":[1,null,true]}"
jsonencode("é\u2028\u0001\u007f\t\"\\/") = "\"é\\u2028\\u0001\u007f\\t\\\"\\\\/\""
jsonencode(null) = ~ "null"
jsonencode(1e21) = "1000000000000000000000"
jsonencode(1e-7) = "0.0000001"
jsonencode(0.1) = "0.1"
jsonencode(123456789012345678901234567890.123) = "123456789012345678901234567890.123"
jsonencode([]) = "[]"
jsonencode({}) = "{}"
jsondecode("{\"a\": [1, \"x\", null, {\"b\": 1.50}], \"c\": 1e3}") = {"a":[1,"x",null,{"b":1.5}],"c":1000}
jsondecode(" 123456789012345678901234567890 ") = 123456789012345678901234567890
jsondecode("\"\\u00e9\\ud83d\\ude00\"") = "é😀"
jsondecode("null") = ~ null
jsondecode("true") = true
jsondecode("{\"a\":1,\"a\":2}") = {"a":2}
jsondecode("") = ~ error: not valid JSON
jsondecode("{") = ~ error: not valid JSON
jsondecode("[1,]") = ~ error: not valid JSON
jsondecode("1 2") = ~ error: not valid JSON
jsondecode("01") = ~ error: not valid JSON
jsondecode("1e99999") = ~ error: is too large
textencodebase64("Hi €", "UTF-16LE") = "SABpACAArCA="
textencodebase64("Hi", "utf-8") = "SGk="
textencodebase64("é", "ISO-8859-1") = "6Q=="
textencodebase64("€", "windows-1252") = "gA=="
textencodebase64("日本", "Shift_JIS") = "k/qWew=="
textencodebase64("€", "ISO-8859-1") = error: cannot be represented
textencodebase64("é", "US-ASCII") = error: cannot be represented
textencodebase64("x", "klingon") = error: "klingon" is not a supported IANA encoding name
textdecodebase64("SABpACAArCA=", "UTF-16LE") = "Hi €"
textdecodebase64("6Q==", "ISO-8859-1") = "é"
textdecodebase64("/w==", "utf-8") = error: not valid in UTF-8
textdecodebase64("SAA", "UTF-16LE") = error: failed to decode base64 data
textdecodebase64("SABp", "UTF-16LE") = error: not valid in UTF-16LE
urlencode("a b&c=ä/~-_.*'()+") = "a+b%26c%3D%C3%A4%2F~-_.%2A%27%28%29%2B"
urlencode("") = ""
"##;

    #[test]
    fn different_types_under_one_name_are_refused() {
        let error = json_text::decode(r#"{"a": 1, "a": "x"}"#).unwrap_err();
        assert_eq!(error.message, "duplicate \"a\" property in JSON object");
    }

    #[test]
    fn deep_json_is_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let error = json_text::decode(&deep).unwrap_err();
        assert!(error.message.contains("deep"), "{error}");
    }

    #[test]
    fn gzip_can_be_read_back_and_has_no_time() {
        let result = super::super::cases::call("base64gzip", &["héllo".into()]).unwrap();
        let bytes = STANDARD.decode(result.as_str().unwrap()).unwrap();
        assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        let mut text = String::new();
        GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "héllo");
    }
}
