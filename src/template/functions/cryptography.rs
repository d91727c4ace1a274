//! The functions of cryptography: `bcrypt` and `rsadecrypt`.

use super::rsa_key::RsaKey;
use super::signature::{Arguments, Function, Kind, Parameter};
use super::{FunctionContext, FunctionError};
use crate::template::value::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bcrypt::Version;

/// The cost if none is given, or one that is too low.
const DEFAULT_COST: u32 = 10;

/// The lowest cost that bcrypt has.
const LOWEST_COST: i64 = 4;

/// The highest cost that is computed: some seconds. Each step more doubles it, to days at 31.
const HIGHEST_COST: i64 = 16;

/// bcrypt looks at no more bytes of a text.
const LONGEST_PASSWORD: usize = 72;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("bcrypt", Kind::String, bcrypt_hash)
        .parameters(&[Parameter::new("str", Kind::String)])
        .variadic(Parameter::new("cost", Kind::Number))
        .changes_each_run(),
    Function::new("rsadecrypt", Kind::String, rsadecrypt).parameters(&[
        Parameter::new("ciphertext", Kind::String),
        Parameter::new("privatekey", Kind::String),
    ]),
];

fn bcrypt_hash(
    arguments: &Arguments<'_>,
    context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let cost = match arguments.len() {
        1 => DEFAULT_COST,
        2 => match arguments.whole_number(1)? {
            cost if cost < LOWEST_COST => DEFAULT_COST,
            cost if cost <= HIGHEST_COST => u32::try_from(cost).unwrap_or(DEFAULT_COST),
            cost => {
                return Err(FunctionError::at(
                    1,
                    format!(
                        "a cost of {cost} would take too long, the highest one is {HIGHEST_COST}"
                    ),
                ));
            }
        },
        _ => {
            return Err(FunctionError::at(2, "only a text and a cost can be given"));
        }
    };
    let text = arguments.string(0)?;
    if text.len() > LONGEST_PASSWORD {
        return Err(FunctionError::at(
            0,
            format!(
                "the text has {} bytes, of which bcrypt would use only {LONGEST_PASSWORD}",
                text.len()
            ),
        ));
    }
    let mut salt = [0; 16];
    (context.random)(&mut salt);
    let parts = bcrypt::hash_with_salt(text, cost, salt)
        .map_err(|error| FunctionError::new(error.to_string()))?;
    Ok(Value::string(parts.format_for_version(Version::TwoA)))
}

fn rsadecrypt(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let encrypted = arguments.string(0)?.replace(['\r', '\n'], "");
    // Neither the texts nor the key are told: they may be secrets.
    let encrypted = STANDARD
        .decode(encrypted)
        .map_err(|_| FunctionError::at(0, "the encrypted text must be in Base64"))?;
    let key = RsaKey::from_pem(arguments.string(1)?)
        .map_err(|error| FunctionError::at(1, error.to_string()))?;
    let bytes = key
        .decrypt(&encrypted)
        .ok_or_else(|| FunctionError::new("this key does not decrypt the text"))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| FunctionError::new("what has been encrypted is not text in UTF-8"))?;
    Ok(Value::string(text))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::cases::call;
    use super::*;

    /// The keys were made for these cases with `openssl genrsa`, the texts encrypted with
    /// `openssl pkeyutl`.
    pub(in super::super) const CASES: &str = r#"
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1igXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNI3QzzeDyhvSHOrWV6VddHDM8/n0KKzchecUDUI0=", "-----BEGIN RSA PRIVATE KEY-----\nMIICXQIBAAKBgQDif6m7j14ShstYMvqLsjjXW/ECehJD9+xYlP5nJZakCasHrBpk\nM+yiwyjvj8XjjHqpMoz0Emtrc6ZRbQcGWpNHQjNZqxhgL80zt8ov1RsYD+pMIOPP\nLJH366mGGcJstmauUq0PH0m+SmzTeWnHwU+4nIwFGhluNxFdQlGCty/uWQIDAQAB\nAoGAC5oYeqgMXIyVC+6IkPFPIhDuln7kQqEHdT4kjeoJ/lsUbK8vJuTWATxX83V8\n4HwIqHQTbkknQXjKEy+vhW7MTmhzqD7xpOxyrmA7g+xEZgVBvGNVAq1wY8Nqf5M1\n0lnV22KexELfxakX7uzkm+zJ9CuTSEwg98gygb0H7xvn7ZUCQQD2g9fwkAlwakdE\nC99GHcFwsRqDO8f9WVcJaibBSrB2bp4C0CLcDR7n8+klOZfvgp7jwm6++WnNzKSD\ns3/4BhmbAkEA6zao9LnqwilwKEF3sh7LP2KNlBf5k37/6rE6J1Oy0el7RC8P+qLY\nNSEj6tWbAjwPT3CacUvL5BlV31ttI77hGwJBAIRtEyWx2sA+94XAcvLxrSbinQF+\nrdKVmcH++k6/1sfoaI3OTcu0aLPmPYq3w7zwiHaFzoRc68+YbZAqb0ZH0J0CQED8\ngiPTdiwc/NLye5qn7Wne1dUT5q28ygJS4wlYk7BxfNAy3IxYD7pmJKFOURyF8Yj2\nSIWC9ptX8KTcgsP8if8CQQCbbVQb8F+FFEpAyeA9Az4YgicM9NQAOoC1nMoTR2jO\nX6ScI7smQpqW/tJKVQEGHx69cv7T+yvTfMwl9bQg4LXt\n-----END RSA PRIVATE KEY-----\n") = "pässword"
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1ig\nXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNI3QzzeDyhvSHOrWV6VddHDM8/n0KKzchecUDUI0=", "comment\n-----BEGIN RSA PRIVATE KEY-----\nMIICXQIBAAKBgQDif6m7j14ShstYMvqLsjjXW/ECehJD9+xYlP5nJZakCasHrBpk\nM+yiwyjvj8XjjHqpMoz0Emtrc6ZRbQcGWpNHQjNZqxhgL80zt8ov1RsYD+pMIOPP\nLJH366mGGcJstmauUq0PH0m+SmzTeWnHwU+4nIwFGhluNxFdQlGCty/uWQIDAQAB\nAoGAC5oYeqgMXIyVC+6IkPFPIhDuln7kQqEHdT4kjeoJ/lsUbK8vJuTWATxX83V8\n4HwIqHQTbkknQXjKEy+vhW7MTmhzqD7xpOxyrmA7g+xEZgVBvGNVAq1wY8Nqf5M1\n0lnV22KexELfxakX7uzkm+zJ9CuTSEwg98gygb0H7xvn7ZUCQQD2g9fwkAlwakdE\nC99GHcFwsRqDO8f9WVcJaibBSrB2bp4C0CLcDR7n8+klOZfvgp7jwm6++WnNzKSD\ns3/4BhmbAkEA6zao9LnqwilwKEF3sh7LP2KNlBf5k37/6rE6J1Oy0el7RC8P+qLY\nNSEj6tWbAjwPT3CacUvL5BlV31ttI77hGwJBAIRtEyWx2sA+94XAcvLxrSbinQF+\nrdKVmcH++k6/1sfoaI3OTcu0aLPmPYq3w7zwiHaFzoRc68+YbZAqb0ZH0J0CQED8\ngiPTdiwc/NLye5qn7Wne1dUT5q28ygJS4wlYk7BxfNAy3IxYD7pmJKFOURyF8Yj2\nSIWC9ptX8KTcgsP8if8CQQCbbVQb8F+FFEpAyeA9Az4YgicM9NQAOoC1nMoTR2jO\nX6ScI7smQpqW/tJKVQEGHx69cv7T+yvTfMwl9bQg4LXt\n-----END RSA PRIVATE KEY-----\n") = "pässword"
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1igXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNI3QzzeDyhvSHOrWV6VddHDM8/n0KKzchecUDUI0=", "-----BEGIN PRIVATE KEY-----\nMIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAOJ/qbuPXhKGy1gy\n+ouyONdb8QJ6EkP37FiU/mcllqQJqwesGmQz7KLDKO+PxeOMeqkyjPQSa2tzplFt\nBwZak0dCM1mrGGAvzTO3yi/VGxgP6kwg488skffrqYYZwmy2Zq5SrQ8fSb5KbNN5\nacfBT7icjAUaGW43EV1CUYK3L+5ZAgMBAAECgYALmhh6qAxcjJUL7oiQ8U8iEO6W\nfuRCoQd1PiSN6gn+WxRsry8m5NYBPFfzdXzgfAiodBNuSSdBeMoTL6+FbsxOaHOo\nPvGk7HKuYDuD7ERmBUG8Y1UCrXBjw2p/kzXSWdXbYp7EQt/FqRfu7OSb7Mn0K5NI\nTCD3yDKBvQfvG+ftlQJBAPaD1/CQCXBqR0QL30YdwXCxGoM7x/1ZVwlqJsFKsHZu\nngLQItwNHufz6SU5l++CnuPCbr75ac3MpIOzf/gGGZsCQQDrNqj0uerCKXAoQXey\nHss/Yo2UF/mTfv/qsTonU7LR6XtELw/6otg1ISPq1ZsCPA9PcJpxS8vkGVXfW20j\nvuEbAkEAhG0TJbHawD73hcBy8vGtJuKdAX6t0pWZwf76Tr/Wx+hojc5Ny7Ros+Y9\nirfDvPCIdoXOhFzrz5htkCpvRkfQnQJAQPyCI9N2LBz80vJ7mqftad7V1RPmrbzK\nAlLjCViTsHF80DLcjFgPumYkoU5RHIXxiPZIhYL2m1fwpNyCw/yJ/wJBAJttVBvw\nX4UUSkDJ4D0DPhiCJwz01AA6gLWcyhNHaM5fpJwjuyZCmpb+0kpVAQYfHr1y/tP7\nK9N8zCX1tCDgte0=\n-----END PRIVATE KEY-----\n") = ~ "pässword"
rsadecrypt("KCrqyr+Z4cIUyszwnSpGDM85Vk5nj5XSPfmDWkSiD8tDEYWZD2VFLEJmPCtmnIBQvx35f42OUwqxRSgJqRSdSN/aMQdUZCPFunS2x7bbW+jiZMx9Yl83vFMY6Xec9Rs9vbmYYXRhqjPWTdg/9c3WbAMaZuEcdCw3xGxw349N+tE=", "-----BEGIN RSA PRIVATE KEY-----\nMIICXQIBAAKBgQDif6m7j14ShstYMvqLsjjXW/ECehJD9+xYlP5nJZakCasHrBpk\nM+yiwyjvj8XjjHqpMoz0Emtrc6ZRbQcGWpNHQjNZqxhgL80zt8ov1RsYD+pMIOPP\nLJH366mGGcJstmauUq0PH0m+SmzTeWnHwU+4nIwFGhluNxFdQlGCty/uWQIDAQAB\nAoGAC5oYeqgMXIyVC+6IkPFPIhDuln7kQqEHdT4kjeoJ/lsUbK8vJuTWATxX83V8\n4HwIqHQTbkknQXjKEy+vhW7MTmhzqD7xpOxyrmA7g+xEZgVBvGNVAq1wY8Nqf5M1\n0lnV22KexELfxakX7uzkm+zJ9CuTSEwg98gygb0H7xvn7ZUCQQD2g9fwkAlwakdE\nC99GHcFwsRqDO8f9WVcJaibBSrB2bp4C0CLcDR7n8+klOZfvgp7jwm6++WnNzKSD\ns3/4BhmbAkEA6zao9LnqwilwKEF3sh7LP2KNlBf5k37/6rE6J1Oy0el7RC8P+qLY\nNSEj6tWbAjwPT3CacUvL5BlV31ttI77hGwJBAIRtEyWx2sA+94XAcvLxrSbinQF+\nrdKVmcH++k6/1sfoaI3OTcu0aLPmPYq3w7zwiHaFzoRc68+YbZAqb0ZH0J0CQED8\ngiPTdiwc/NLye5qn7Wne1dUT5q28ygJS4wlYk7BxfNAy3IxYD7pmJKFOURyF8Yj2\nSIWC9ptX8KTcgsP8if8CQQCbbVQb8F+FFEpAyeA9Az4YgicM9NQAOoC1nMoTR2jO\nX6ScI7smQpqW/tJKVQEGHx69cv7T+yvTfMwl9bQg4LXt\n-----END RSA PRIVATE KEY-----\n") = ""
rsadecrypt("UrhjL5WV2sUa85NlQMNpGl7qqYHWlT9xLXvHNkweFsT50dZqAjn1zDzzhbQVsTgKoLbJjeyPrlJJYPCMa0sjkEfH6lY12znwM7vO6MhzcdaRjPKVKTzOWeYtdU5SYHhSNwYpBTL6YlTQnn86x3/qPYSDUKUOSlg9TmtyQr4DWS0=", "-----BEGIN RSA PRIVATE KEY-----\nMIICXQIBAAKBgQDif6m7j14ShstYMvqLsjjXW/ECehJD9+xYlP5nJZakCasHrBpk\nM+yiwyjvj8XjjHqpMoz0Emtrc6ZRbQcGWpNHQjNZqxhgL80zt8ov1RsYD+pMIOPP\nLJH366mGGcJstmauUq0PH0m+SmzTeWnHwU+4nIwFGhluNxFdQlGCty/uWQIDAQAB\nAoGAC5oYeqgMXIyVC+6IkPFPIhDuln7kQqEHdT4kjeoJ/lsUbK8vJuTWATxX83V8\n4HwIqHQTbkknQXjKEy+vhW7MTmhzqD7xpOxyrmA7g+xEZgVBvGNVAq1wY8Nqf5M1\n0lnV22KexELfxakX7uzkm+zJ9CuTSEwg98gygb0H7xvn7ZUCQQD2g9fwkAlwakdE\nC99GHcFwsRqDO8f9WVcJaibBSrB2bp4C0CLcDR7n8+klOZfvgp7jwm6++WnNzKSD\ns3/4BhmbAkEA6zao9LnqwilwKEF3sh7LP2KNlBf5k37/6rE6J1Oy0el7RC8P+qLY\nNSEj6tWbAjwPT3CacUvL5BlV31ttI77hGwJBAIRtEyWx2sA+94XAcvLxrSbinQF+\nrdKVmcH++k6/1sfoaI3OTcu0aLPmPYq3w7zwiHaFzoRc68+YbZAqb0ZH0J0CQED8\ngiPTdiwc/NLye5qn7Wne1dUT5q28ygJS4wlYk7BxfNAy3IxYD7pmJKFOURyF8Yj2\nSIWC9ptX8KTcgsP8if8CQQCbbVQb8F+FFEpAyeA9Az4YgicM9NQAOoC1nMoTR2jO\nX6ScI7smQpqW/tJKVQEGHx69cv7T+yvTfMwl9bQg4LXt\n-----END RSA PRIVATE KEY-----\n") = ~ error: not text in UTF-8
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1igXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNIw==", "-----BEGIN RSA PRIVATE KEY-----\nMIICXQIBAAKBgQDif6m7j14ShstYMvqLsjjXW/ECehJD9+xYlP5nJZakCasHrBpk\nM+yiwyjvj8XjjHqpMoz0Emtrc6ZRbQcGWpNHQjNZqxhgL80zt8ov1RsYD+pMIOPP\nLJH366mGGcJstmauUq0PH0m+SmzTeWnHwU+4nIwFGhluNxFdQlGCty/uWQIDAQAB\nAoGAC5oYeqgMXIyVC+6IkPFPIhDuln7kQqEHdT4kjeoJ/lsUbK8vJuTWATxX83V8\n4HwIqHQTbkknQXjKEy+vhW7MTmhzqD7xpOxyrmA7g+xEZgVBvGNVAq1wY8Nqf5M1\n0lnV22KexELfxakX7uzkm+zJ9CuTSEwg98gygb0H7xvn7ZUCQQD2g9fwkAlwakdE\nC99GHcFwsRqDO8f9WVcJaibBSrB2bp4C0CLcDR7n8+klOZfvgp7jwm6++WnNzKSD\ns3/4BhmbAkEA6zao9LnqwilwKEF3sh7LP2KNlBf5k37/6rE6J1Oy0el7RC8P+qLY\nNSEj6tWbAjwPT3CacUvL5BlV31ttI77hGwJBAIRtEyWx2sA+94XAcvLxrSbinQF+\nrdKVmcH++k6/1sfoaI3OTcu0aLPmPYq3w7zwiHaFzoRc68+YbZAqb0ZH0J0CQED8\ngiPTdiwc/NLye5qn7Wne1dUT5q28ygJS4wlYk7BxfNAy3IxYD7pmJKFOURyF8Yj2\nSIWC9ptX8KTcgsP8if8CQQCbbVQb8F+FFEpAyeA9Az4YgicM9NQAOoC1nMoTR2jO\nX6ScI7smQpqW/tJKVQEGHx69cv7T+yvTfMwl9bQg4LXt\n-----END RSA PRIVATE KEY-----\n") = error: this key does not decrypt the text
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1igXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNI3QzzeDyhvSHOrWV6VddHDM8/n0KKzchecUDUI14", "-----BEGIN RSA PRIVATE KEY-----\nMIICXQIBAAKBgQDif6m7j14ShstYMvqLsjjXW/ECehJD9+xYlP5nJZakCasHrBpk\nM+yiwyjvj8XjjHqpMoz0Emtrc6ZRbQcGWpNHQjNZqxhgL80zt8ov1RsYD+pMIOPP\nLJH366mGGcJstmauUq0PH0m+SmzTeWnHwU+4nIwFGhluNxFdQlGCty/uWQIDAQAB\nAoGAC5oYeqgMXIyVC+6IkPFPIhDuln7kQqEHdT4kjeoJ/lsUbK8vJuTWATxX83V8\n4HwIqHQTbkknQXjKEy+vhW7MTmhzqD7xpOxyrmA7g+xEZgVBvGNVAq1wY8Nqf5M1\n0lnV22KexELfxakX7uzkm+zJ9CuTSEwg98gygb0H7xvn7ZUCQQD2g9fwkAlwakdE\nC99GHcFwsRqDO8f9WVcJaibBSrB2bp4C0CLcDR7n8+klOZfvgp7jwm6++WnNzKSD\ns3/4BhmbAkEA6zao9LnqwilwKEF3sh7LP2KNlBf5k37/6rE6J1Oy0el7RC8P+qLY\nNSEj6tWbAjwPT3CacUvL5BlV31ttI77hGwJBAIRtEyWx2sA+94XAcvLxrSbinQF+\nrdKVmcH++k6/1sfoaI3OTcu0aLPmPYq3w7zwiHaFzoRc68+YbZAqb0ZH0J0CQED8\ngiPTdiwc/NLye5qn7Wne1dUT5q28ygJS4wlYk7BxfNAy3IxYD7pmJKFOURyF8Yj2\nSIWC9ptX8KTcgsP8if8CQQCbbVQb8F+FFEpAyeA9Az4YgicM9NQAOoC1nMoTR2jO\nX6ScI7smQpqW/tJKVQEGHx69cv7T+yvTfMwl9bQg4LXt\n-----END RSA PRIVATE KEY-----\n") = error: this key does not decrypt the text
rsadecrypt("", "-----BEGIN RSA PRIVATE KEY-----\nMIICXQIBAAKBgQDif6m7j14ShstYMvqLsjjXW/ECehJD9+xYlP5nJZakCasHrBpk\nM+yiwyjvj8XjjHqpMoz0Emtrc6ZRbQcGWpNHQjNZqxhgL80zt8ov1RsYD+pMIOPP\nLJH366mGGcJstmauUq0PH0m+SmzTeWnHwU+4nIwFGhluNxFdQlGCty/uWQIDAQAB\nAoGAC5oYeqgMXIyVC+6IkPFPIhDuln7kQqEHdT4kjeoJ/lsUbK8vJuTWATxX83V8\n4HwIqHQTbkknQXjKEy+vhW7MTmhzqD7xpOxyrmA7g+xEZgVBvGNVAq1wY8Nqf5M1\n0lnV22KexELfxakX7uzkm+zJ9CuTSEwg98gygb0H7xvn7ZUCQQD2g9fwkAlwakdE\nC99GHcFwsRqDO8f9WVcJaibBSrB2bp4C0CLcDR7n8+klOZfvgp7jwm6++WnNzKSD\ns3/4BhmbAkEA6zao9LnqwilwKEF3sh7LP2KNlBf5k37/6rE6J1Oy0el7RC8P+qLY\nNSEj6tWbAjwPT3CacUvL5BlV31ttI77hGwJBAIRtEyWx2sA+94XAcvLxrSbinQF+\nrdKVmcH++k6/1sfoaI3OTcu0aLPmPYq3w7zwiHaFzoRc68+YbZAqb0ZH0J0CQED8\ngiPTdiwc/NLye5qn7Wne1dUT5q28ygJS4wlYk7BxfNAy3IxYD7pmJKFOURyF8Yj2\nSIWC9ptX8KTcgsP8if8CQQCbbVQb8F+FFEpAyeA9Az4YgicM9NQAOoC1nMoTR2jO\nX6ScI7smQpqW/tJKVQEGHx69cv7T+yvTfMwl9bQg4LXt\n-----END RSA PRIVATE KEY-----\n") = error: this key does not decrypt the text
rsadecrypt("?", "-----BEGIN RSA PRIVATE KEY-----\nMIICXQIBAAKBgQDif6m7j14ShstYMvqLsjjXW/ECehJD9+xYlP5nJZakCasHrBpk\nM+yiwyjvj8XjjHqpMoz0Emtrc6ZRbQcGWpNHQjNZqxhgL80zt8ov1RsYD+pMIOPP\nLJH366mGGcJstmauUq0PH0m+SmzTeWnHwU+4nIwFGhluNxFdQlGCty/uWQIDAQAB\nAoGAC5oYeqgMXIyVC+6IkPFPIhDuln7kQqEHdT4kjeoJ/lsUbK8vJuTWATxX83V8\n4HwIqHQTbkknQXjKEy+vhW7MTmhzqD7xpOxyrmA7g+xEZgVBvGNVAq1wY8Nqf5M1\n0lnV22KexELfxakX7uzkm+zJ9CuTSEwg98gygb0H7xvn7ZUCQQD2g9fwkAlwakdE\nC99GHcFwsRqDO8f9WVcJaibBSrB2bp4C0CLcDR7n8+klOZfvgp7jwm6++WnNzKSD\ns3/4BhmbAkEA6zao9LnqwilwKEF3sh7LP2KNlBf5k37/6rE6J1Oy0el7RC8P+qLY\nNSEj6tWbAjwPT3CacUvL5BlV31ttI77hGwJBAIRtEyWx2sA+94XAcvLxrSbinQF+\nrdKVmcH++k6/1sfoaI3OTcu0aLPmPYq3w7zwiHaFzoRc68+YbZAqb0ZH0J0CQED8\ngiPTdiwc/NLye5qn7Wne1dUT5q28ygJS4wlYk7BxfNAy3IxYD7pmJKFOURyF8Yj2\nSIWC9ptX8KTcgsP8if8CQQCbbVQb8F+FFEpAyeA9Az4YgicM9NQAOoC1nMoTR2jO\nX6ScI7smQpqW/tJKVQEGHx69cv7T+yvTfMwl9bQg4LXt\n-----END RSA PRIVATE KEY-----\n") = error: must be in Base64
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1igXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNI3QzzeDyhvSHOrWV6VddHDM8/n0KKzchecUDUI0=", "key") = error: no key in PEM is found
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1igXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNI3QzzeDyhvSHOrWV6VddHDM8/n0KKzchecUDUI0=", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,93C4\n\nAAAA\n-----END RSA PRIVATE KEY-----\n") = error: keys with a password are not supported
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1igXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNI3QzzeDyhvSHOrWV6VddHDM8/n0KKzchecUDUI0=", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n") = error: keys with a password are not supported
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1igXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNI3QzzeDyhvSHOrWV6VddHDM8/n0KKzchecUDUI0=", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n") = error: keys of OpenSSH are not supported
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1igXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNI3QzzeDyhvSHOrWV6VddHDM8/n0KKzchecUDUI0=", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIO07mFQ1o1I4k5ep9gjytFJMw77D5xlUGOJwyhtDrfE3oAoGCCqGSM49\nAwEHoUQDQgAEOA2GG2jOpSEE7WorEP0Rv0fWIDpKwsMWLJ8EPEEDond4PB4ycSVf\nIgZUGNiS5jvnmaVyBkAVoU8NfT6TRmw6Nw==\n-----END EC PRIVATE KEY-----\n") = error: not an RSA private key
rsadecrypt("v+u201DWljRrMfiQnqL/FX+jW0yMJcCExx07vC8SGhqsSJiHSNGuhuEJ/1igXl1JvapkpZxLWMilTeSWjdce3/sZ6QOUe45U0fsGqsXsbstqOTf5lJf1XFfrK9aS5+U9vNeNI3QzzeDyhvSHOrWV6VddHDM8/n0KKzchecUDUI0=", "-----BEGIN RSA PRIVATE KEY-----\nMIICXQIBAAKBgQDif6m7j14ShstYMvqLsjjXW/ECehJD9+xYlP5nJZakCasHrBpk\nM+yiwyjvj8XjjHqpMoz0Emtrc6ZRbQcGWpNHQjNZqxhgL80zt8ov1RsYD+pMIOPP\nLJH366mGGcJstmauUq0PH0m+SmzTeWnHwU+4nIwFGhluNxFdQlGCty/uWQIDAQAB\nAoGAC5oYeqgMXIyVC+6IkPFPIhDuln7kQqEHdT4kjeoJ/lsUbK8vJuTWATxX83V8\n4HwIqHQTbkknQXjKEy+vhW7MTmhzqD7xpOxyrmA7g+xEZgVBvGNVAq1wY8Nqf5M1\n0lnV22KexELfxakX7uzkm+zJ9CuTSEwg98gygb0H7xv\n-----END RSA PRIVATE KEY-----\n") = error: 
bcrypt("a", 17) = ~ error: a cost of 17 would take too long, the highest one is 16
bcrypt("a", 32) = error: a cost of 32 would take too long
bcrypt("a", 4.5) = error: must be a whole number
bcrypt("a", 4, 5) = error: only a text and a cost can be given
bcrypt(null) = error: must not be null
bcrypt("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 4) = ~ error: the text has 73 bytes
"#;

    #[test]
    fn hashes_verify_and_have_the_cost() {
        for (text, cost, start) in [
            ("hunter2", None, "$2a$10$"),
            ("hunter2", Some(4), "$2a$04$"),
            ("hunter2", Some(3), "$2a$10$"),
            ("hunter2", Some(-1), "$2a$10$"),
            ("", Some(5), "$2a$05$"),
            ("a\0b", Some(4), "$2a$04$"),
            ("é".repeat(36).as_str(), Some(4), "$2a$04$"),
        ] {
            let mut arguments = vec![Value::string(text)];
            let cost = cost.map(|cost: i64| Value::Number(cost.into()));
            arguments.extend(cost);
            let hash = call("bcrypt", &arguments).unwrap();
            let hash = hash.as_str().unwrap();
            assert!(hash.starts_with(start) && hash.len() == 60, "{hash}");
            assert!(bcrypt::verify(text, hash).unwrap(), "{text:?}");
            assert!(!bcrypt::verify("another", hash).unwrap());
        }
    }
}
