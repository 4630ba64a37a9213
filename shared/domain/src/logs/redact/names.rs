//! Names of fields whose value is a secret, whatever it looks like.

/// Names, in lower case and without `_` and `-`.
const NAMES: [&str; 23] = [
    "accesstoken",
    "apikey",
    "authorization",
    "authtoken",
    "bearertoken",
    "clientsecret",
    "cookie",
    "cookies",
    "csrftoken",
    "idtoken",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "proxyauthorization",
    "pwd",
    "refreshtoken",
    "secret",
    "secretaccesskey",
    "secretkey",
    "sessiontoken",
    "setcookie",
    "token",
];

/// Endings that leave no doubt: `x-api-key`, `new_password`, `awsSecretAccessKey`.
const ENDINGS: [&str; 8] =
    ["accesskey", "accesstoken", "apikey", "authtoken", "clientsecret", "passwd", "password", "privatekey"];

/// Longer names are none.
const MAX_BYTES: usize = 64;

/// Whether a field called `name` holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    if name.len() > MAX_BYTES {
        return false;
    }
    let name: String = name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect();
    NAMES.contains(&name.as_str()) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether such a field holds pairs with spaces between, so that in a text it goes to the end of the line.
pub(super) fn is_cookie(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("cookie")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter() {
        for name in ["accessToken", "x-api-key", "privateKey", "set-cookie", "clientSecret", "PASSWORD", "DB_PASSWORD"]
        {
            assert!(is_secret(name), "{name}");
        }
        for name in ["token_count", "token_type", "passwords_changed", "author", "key", "secretary", ""] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
