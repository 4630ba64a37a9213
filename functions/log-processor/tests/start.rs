//! What has to be right at cold start, and what is said where it is not.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use domain::ports::{Retry, SecretText};
use log_processor::{Config, start};
use testkit::FixedSecret;
use testkit::pipeline::KEY;

/// The variables as the template sets them, with `changed` ones.
fn configured(changed: &[(&str, &str)]) -> Result<Config, String> {
    let set = [
        ("BUCKET_NAME", "b"),
        ("EVENT_BUS_NAME", "events"),
        ("OWN_LOG_GROUP_PREFIX", "/aws/lambda/observability-"),
        ("ENVIRONMENT", "production"),
        ("PSEUDONYM_KEY_SECRET", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:key-a1b2c3"),
        ("PERSONAL_FIELDS", ""),
        ("LOG_FILTERS", ""),
        ("METRIC_NAMESPACE", "LandContracts"),
    ];
    let lookup = |name: &str| {
        let found = changed.iter().chain(&set).find(|(found, _)| *found == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Config::from_lookup(lookup).map_err(|error| error.to_string())
}

#[test]
fn a_missing_variable_is_named() {
    let error = Config::from_lookup(|_| None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: BUCKET_NAME is not set; EVENT_BUS_NAME is not set; OWN_LOG_GROUP_PREFIX is not set; ENVIRONMENT is not set; \
         PSEUDONYM_KEY_SECRET is not set; METRIC_NAMESPACE is not set"
    );
}

#[test]
fn further_personal_fields_are_a_list_of_names() {
    for (text, names) in [
        ("", &[][..]),
        ("inn", &["inn"]),
        (" full_name , seller.phone,отчество", &["full_name", "seller.phone", "отчество"]),
    ] {
        assert_eq!(configured(&[("PERSONAL_FIELDS", text)]).unwrap().personal_fields, names, "{text}");
    }
    for text in ["a,,b", ",", "a,", "full name", "\"inn\"", "['inn']"] {
        let error = configured(&[("PERSONAL_FIELDS", text)]).unwrap_err();
        assert!(error.starts_with(&format!("configuration: PERSONAL_FIELDS is `{text}`: `")), "{error}");
        assert!(
            error
                .ends_with("is no field name; names are separated by commas, and have no spaces and no quotes in them")
        );
    }
}

#[test]
fn filters_that_can_not_be_read_are_named() {
    let error = configured(&[("LOG_FILTERS", "%% no filter %%"), ("PERSONAL_FIELDS", "a b")]).unwrap_err();
    assert!(error.contains("LOG_FILTERS is `%% no filter %%`: "), "{error}");
    assert!(error.contains("PERSONAL_FIELDS is `a b`: "), "every problem is told at once: {error}");
}

/// The whole chain of what is said where `secret` is what Secrets Manager answers.
async fn refused(secret: Result<&str, Retry>) -> String {
    let secrets = FixedSecret(secret.map(SecretText::new));
    let started = start(&configured(&[]).unwrap(), &secrets).await;
    format!("{:#}", started.err().expect("it does not start"))
}

#[tokio::test]
async fn with_a_key_it_starts() {
    let secrets = FixedSecret(Ok(SecretText::new(KEY)));
    assert!(start(&configured(&[]).unwrap(), &secrets).await.is_ok());
}

#[tokio::test]
async fn without_a_key_it_does_not_start_and_says_what_to_do() {
    for (answer, says) in [
        (Retry::Permanent, "have the variable name a secret of this region that holds a text"),
        (Retry::Denied, "let the function's role do secretsmanager:GetSecretValue on this secret"),
        (Retry::Transient, "Secrets Manager does not answer, and Lambda tries again"),
    ] {
        let error = refused(Err(answer)).await;
        let begins = format!("no key for pseudonyms (PSEUDONYM_KEY_SECRET): {says}: read secret arn:aws:");
        assert!(error.starts_with(&begins), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_is_too_short_is_refused_and_not_told() {
    for key in ["", "correct horse battery staple"] {
        let error = refused(Ok(key)).await;
        assert!(
            error.contains(":secret:key-a1b2c3 (PSEUDONYM_KEY_SECRET) is no key for pseudonyms: put a random"),
            "{error}"
        );
        assert!(key.is_empty() || !error.contains(key), "{error}");
    }
    let secrets = FixedSecret(Ok(SecretText::new("correct horse")));
    assert_eq!(format!("{:?}", secrets.0), "Ok(SecretText(..))");
}
