//! Made-up personal data that services log by mistake. None of it may reach the archive.

/// E-mail addresses, in domains reserved for examples.
pub const EMAILS: [&str; 3] = ["anna.petrova@example.com", "i.sidorov+land@example.org", "olga_99@mail.example.net"];

/// Phone numbers in the spellings people use.
pub const PHONES: [&str; 3] = ["+7 (912) 345-67-89", "8 912 345-67-89", "+79123456789"];

/// Bearer tokens: an opaque one, and a JWT with algorithm `none`, whose subject is `nobody` and whose
/// signature is the words `not-a-real-signature`.
pub const TOKENS: [&str; 2] = [
    "demo-not-a-real-token-0123456789abcdef",
    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJub2JvZHkiLCJkZW1vIjp0cnVlfQ.bm90LWEtcmVhbC1zaWduYXR1cmU",
];

/// A client's name and passport, as the database server repeats them among a statement's parameters.
pub const PARAMETERS: [&str; 2] = ["Анна Выдуманная", "4509 000001"];

/// A session, in the array of a `set-cookie` field.
pub const SESSION: &str = "demo-session-0123456789";

/// An address in a URL.
pub const ENCODED_EMAIL: &str = "vera.demo%40example.com";

/// What stands wherever a text can stand.
pub const ANYWHERE: [&str; 8] =
    [EMAILS[0], PHONES[0], TOKENS[0], EMAILS[1], PHONES[1], TOKENS[1], EMAILS[2], PHONES[2]];

/// What is a secret by its place: each stands in lines of one kind.
pub const IN_PLACE: [&str; 4] = [PARAMETERS[0], PARAMETERS[1], SESSION, ENCODED_EMAIL];

/// All of it, as it stands in the lines.
pub const PLANTED: [&str; 12] = [
    EMAILS[0],
    PHONES[0],
    TOKENS[0],
    EMAILS[1],
    PHONES[1],
    TOKENS[1],
    EMAILS[2],
    PHONES[2],
    PARAMETERS[0],
    PARAMETERS[1],
    SESSION,
    ENCODED_EMAIL,
];
