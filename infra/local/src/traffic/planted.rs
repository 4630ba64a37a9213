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

/// All of it, as it stands in the lines.
pub const PLANTED: [&str; 8] = [EMAILS[0], PHONES[0], TOKENS[0], EMAILS[1], PHONES[1], TOKENS[1], EMAILS[2], PHONES[2]];
