//! Go templates and what they render to, as Go's text/template has it.

use super::*;
use proptest::prelude::*;

fn data() -> GoTemplateData {
    GoTemplateData {
        fields: BTreeMap::from([
            ("Vars".to_owned(), "A='1' ".to_owned()),
            ("Path".to_owned(), "/tmp/script.sh".to_owned()),
            ("Empty".to_owned(), String::new()),
        ]),
        build_name: "base".to_owned(),
        build_type: "oci".to_owned(),
        working_folder: "/work".to_owned(),
        now: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        random: Arc::new(|bytes: &mut [u8]| bytes.fill(0)),
    }
}

fn rendered(text: &str) -> String {
    render(text, &data()).unwrap_or_else(|error| format!("{}: {error}", error.offset))
}

#[test]
fn actions() {
    for (text, expected) in [
        ("plain }} text", "plain }} text"),
        (
            "chmod +x {{ .Path }}; {{.Vars}}{{.Path}}",
            "chmod +x /tmp/script.sh; A='1' /tmp/script.sh",
        ),
        ("{{ upper `a}}b` }}", "A}}B"),
        ("{{\"}}\"}}", "}}"),
        ("{{ \"\\\"\\u00e9\\x41\\n\" }}", "\"éA\n"),
        ("a {{- /* gone */ -}} b", "ab"),
        ("a {{- build_type -}} b", "aocib"),
        ("a {{build_type -}}\n\n b", "a ocib"),
        ("{{/* nothing */}}", ""),
        (
            "{{ 3 }} {{ -0x10 }} {{ 1_000 }} {{ 'a' }} {{ 1.50 }} {{ 1e30 }}",
            "3 -16 1000 97 1.5 1e+30",
        ),
        ("{{ -3}}", "-3"),
        ("{{ true }} {{ $ | len }}", "true 3"),
        (
            "{{ .Path | upper | printf \"%s-%s\" \"x\" }}",
            "x-/TMP/SCRIPT.SH",
        ),
        ("{{ (upper .Path) | len }}", "14"),
        (
            "{{ $x := .Path }}{{ $x }}{{ $x = \"b\" }}{{ $x }}",
            "/tmp/script.shb",
        ),
        ("{{ $.Path }}", "/tmp/script.sh"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn blocks() {
    for (text, expected) in [
        ("{{ if .Path }}x{{ else }}y{{ end }}", "x"),
        ("{{ if .Empty }}x{{ else }}y{{ end }}", "y"),
        (
            "{{ if eq build_type `x` }}1{{ else if eq build_type `oci` }}2{{ else }}3{{ end }}",
            "2",
        ),
        (
            "{{ with .Path }}{{ . }}{{ else }}none{{ end }}",
            "/tmp/script.sh",
        ),
        (
            "{{ with .Empty }}{{ . }}{{ else with build_name }}{{ . }}{{ end }}",
            "base",
        ),
        ("{{ with $x := .Path }}{{ $x }}{{ end }}", "/tmp/script.sh"),
        ("{{ range 3 }}{{ . }},{{ end }}", "0,1,2,"),
        (
            "{{ range $i, $v := . }}{{ $i }}={{ $v }};{{ end }}",
            "Empty=;Path=/tmp/script.sh;Vars=A='1' ;",
        ),
        (
            "{{ range 5 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ if eq . 3 }}{{ break }}{{ end }}{{ . }}{{ end }}",
            "02",
        ),
        ("{{ range 0 }}x{{ else }}none{{ end }}", "none"),
        (
            "{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" .Path }}",
            "</tmp/script.sh>",
        ),
        ("{{ block \"b\" build_name }}[{{ . }}]{{ end }}", "[base]"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn functions() {
    for (text, expected) in [
        (
            "{{timestamp}} {{ isotime }}",
            "1700000000 2023-11-14T22:13:20Z",
        ),
        ("{{ isotime \"2006-01-02\" }}", "2023-11-14"),
        ("{{ strftime \"%Y\" }}", "2023"),
        (
            "{{ isotime | clean_resource_name }}",
            "2023-11-14T22-13-20Z",
        ),
        ("{{ replace \"a\" \"b\" 1 \"aaa\" }}", "baa"),
        ("{{ replace_all `a` `b` .Path }}", "/tmp/script.sh"),
        ("{{ split build_name `s` 0 }}", "ba"),
        ("{{ sed `s/t(.)p/<\\1&>/` .Path }}", "/<mtmp>/script.sh"),
        ("{{ upper `ß` }}{{ lower `Ä` }}", "ßä"),
        ("{{ uuid }}", "00000000-0000-4000-8000-000000000000"),
        ("{{ and 1 0 2 }} {{ or 0 `` 3 }} {{ not 0 }}", "0 3 true"),
        ("{{ or 1 (user `x`) }}", "1"),
        (
            "{{ eq 1 2 1 }} {{ ne 1 2 }} {{ lt 1 2 }} {{ ge `b` `a` }}",
            "true true true true",
        ),
        (
            "{{ len `é` }} {{ index `abc` 1 }} {{ index . `Path` }} {{ slice `abc` 1 2 }}",
            "2 98 /tmp/script.sh b",
        ),
        ("{{ print 1 2 `x` 3 }} {{ println 1 `x` }}", "1 2x3 1 x\n"),
        (
            "{{ printf `%05d|%-4s|%q|%x` 42 `a` `b` 255 }}",
            "00042|a   |\"b\"|ff",
        ),
        ("{{ html `<a href=\"x\">` }}", "&lt;a href=&#34;x&#34;&gt;"),
        ("{{ js `'<` }} {{ urlquery `a b&c` }}", "\\'\\u003C a+b%26c"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn mistakes() {
    for (text, expected) in [
        (
            "{{ .Pth }}",
            "3: there is no `{{ .Pth }}` here; did you mean `Path`?",
        ),
        (
            "{{ .Image }}",
            "3: there is no `{{ .Image }}` here; known are Empty, Path, Vars",
        ),
        (
            "{{ uper `a` }}",
            "3: there is no function `uper` in `{{ … }}`; did you mean `upper`?",
        ),
        ("{{ upper }}", "3: `{{ upper }}` takes a text"),
        ("x {{ .Path", "2: `{{` is not closed by `}}`"),
        ("{{ \"a }}", "0: a quote is not closed within `{{ … }}`"),
        ("{{ }}", "0: `{{ }}` holds nothing"),
        ("{{ if 1 }}", "0: this block has no `{{ end }}`"),
        ("{{ end }}", "0: `{{ end }}` without a block to belong to"),
        (
            "{{ break }}",
            "0: `{{ break }}` is only for the inside of a range",
        ),
        ("{{ .Path upper }}", "9: only functions take arguments"),
        ("{{ 1 | 2 }}", "7: only a function can stand behind `|`"),
        (
            "{{ user `region` }}",
            "3: `{{ user }}` belongs to templates in JSON; write ${var.region}",
        ),
        (
            "{{ build `ID` }}",
            "3: `{{ build }}` belongs to templates in JSON; write ${build.ID}",
        ),
        ("{{ $y }}", "3: there is no variable `$y`"),
        ("{{ .Path.x }}", "3: a text has no field `x`"),
        (
            "{{ lt 1 `a` }}",
            "3: `lt` cannot compare a whole number with a text",
        ),
        ("{{ template `t` }}", "0: no template \"t\" is defined"),
        ("{{ a%b }}", "4: `%` has no meaning within `{{ … }}`"),
        ("{{ (1 }}", "3: `(` is not closed by `)`"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn what_costs_too_much_is_refused() {
    let deep = format!("{}1{}", "{{ if 1 }}".repeat(5000), "{{ end }}".repeat(5000));
    let parentheses = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    for text in [
        deep.as_str(),
        parentheses.as_str(),
        "{{ define `t` }}{{ template `t` }}{{ end }}{{ template `t` }}",
        "{{ range 1000000000000 }}x{{ end }}",
        "{{ range 1000 }}{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}{{ end }}",
        "{{ range 1000 }}{{ range 900 }}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{ end }}{{ end }}",
        "{{ printf `%1000000000d` 1 }}",
    ] {
        let shown = text.get(..60).unwrap_or(text);
        assert!(render(text, &data()).is_err(), "{shown}");
    }
}

#[test]
fn changing_actions_are_found() {
    for (text, expected) in [
        ("a-{{ timestamp }}", &["{{ timestamp }}"][..]),
        (
            "{{ isotime `x` | upper }} {{uuid}}",
            &["{{ isotime `x` | upper }}", "{{uuid}}"],
        ),
        ("{{ build_name }} {{ `timestamp` }}", &[]),
        ("{{ timestamp", &[]),
    ] {
        assert_eq!(changing_actions(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(
        text in "([{}. $|()\"'`\\\\a-c/*:=,0-9-]|\\{\\{|\\}\\}|if |range |end|else |with |define |template |len |index |slice |printf |%d){0,30}"
    ) {
        let _outcome = render(&text, &data());
    }
}
