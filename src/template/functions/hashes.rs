//! Hash functions of text: `md5`, `sha1`, `sha256`, `sha512`, each in lower-case hexadecimal.

use super::signature::{Arguments, Function, Kind, Parameter};
use super::{FunctionContext, FunctionError};
use crate::template::value::Value;
use sha2::Digest;
use std::fmt::Write;

const TEXT: &[Parameter] = &[Parameter::new("str", Kind::String)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("md5", Kind::String, hash::<md5::Md5>).parameters(TEXT),
    Function::new("sha1", Kind::String, hash::<sha1::Sha1>).parameters(TEXT),
    Function::new("sha256", Kind::String, hash::<sha2::Sha256>).parameters(TEXT),
    Function::new("sha512", Kind::String, hash::<sha2::Sha512>).parameters(TEXT),
];

fn hash<Algorithm: Digest>(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let mut hexadecimal = String::new();
    for byte in Algorithm::digest(arguments.string(0)?) {
        // Writing to a string cannot fail.
        let _ = write!(hexadecimal, "{byte:02x}");
    }
    Ok(Value::string(&hexadecimal))
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r#"
md5("") = "d41d8cd98f00b204e9800998ecf8427e"
md5("tada") = "ce47d07243bb6eaf5e1322c81baf9bbf"
md5(1.50) = "6008647277c4454cecd97d33c069f0ca"
sha1("test") = "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"
sha1("ü") = "94a759fd37735430753c7b6b80684306d80ea16e"
sha256("test") = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
sha512("test") = "ee26b0dd4af7e749aa1a8ee3c10ae9923f618980772e473f8819a5d4940e0db27ac185f8a0e1d5f84f88bc887fd67b143732c304cc5fa9ad8e6f57f50028a8ff"
md5([]) = error: invalid value for "str" parameter
md5(null) = error: argument must not be null
md5() = error: not enough function arguments
md5("a", "b") = error: too many function arguments
"#;
}
