//! Warnings of what nothing refers to.

use super::load_with;

/// The summaries of the warnings of a template, which is without errors.
fn warnings(template: &str) -> Vec<String> {
    let loaded = load_with(template, &[], &[]).unwrap();
    let warnings = loaded.warnings.into_vec().into_iter();
    warnings.map(|warning| warning.summary).collect()
}

#[test]
fn what_nothing_refers_to() {
    for (text, expected) in [
        (
            r#"
variable "a" { default = 1 }
variable "b" {
  default = 1
  validation {
    condition     = var.b > 0
    error_message = "No."
  }
}
variables { c = 1 }
locals {
  d = var.a
  e = "${local.d}"
}
local "f" { expression = 1 }
data "null" "g" { input = "x" }
data "null" "h" { input = data.null.g.output }
"#,
            &[
                "variable `b` is never used",
                "variable `c` is never used",
                "local `e` is never used",
                "local `f` is never used",
                "data source `null.h` is never used",
            ][..],
        ),
        (
            r#"
variable "a" { default = 1 }
variable "b" { default = 1 }
variable "c" { default = [] }
locals {
  d = 1
  e = 1
}
data "null" "f" {}
source "oci" "base" { x = var.a }
build {
  sources = ["oci.base"]
  dynamic "provisioner" {
    for_each = var.c
    labels   = ["shell"]
    content { inline = [for x in [1] : "${x} ${var["b"]} %{if local.d > 0}${local["e"]}%{endif}"] }
  }
  post-processors {
    post-processor "manifest" { custom_data = data.null.f }
  }
}
"#,
            &[],
        ),
        (
            r#"
variable "a" { default = 1 }
variable "b" { default = 1 }
locals { all = [for name, value in var : value] }
source "oci" "x" { y = local.all }
"#,
            &[],
        ),
    ] {
        assert_eq!(warnings(text), expected);
    }
}

#[test]
fn sources_that_a_component_is_for_must_be_there() {
    let text = r#"
source "oci" "base" {}
build {
  sources = ["oci.base"]
  provisioner "shell" {
    only     = ["base", "oci.base"]
    override = { bsae = {} }
  }
  post-processor "manifest" { except = ["docker.base"] }
}
"#;
    assert_eq!(
        warnings(text),
        [
            "`only` of this shell names \"base\", which is none of the build's sources",
            "`override` of this shell names \"bsae\", which is none of the build's sources",
            "`except` of this manifest names \"docker.base\", which is none of the build's sources",
        ]
    );
}
