//! STUB
#![allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind { Email, Phone, Name, Personal }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming { Plain, Secret, Personal(Kind) }
#[derive(Debug, Clone)]
pub struct PseudonymKey;
#[derive(Debug, thiserror::Error)]
#[error("short")]
pub struct KeyError;
impl PseudonymKey { pub fn from_secret(s: &str) -> Result<PseudonymKey, KeyError> { if s.len() < 32 { Err(KeyError) } else { Ok(PseudonymKey) } } }
#[derive(Debug, Clone)]
pub struct FieldNames(Vec<String>);
impl FieldNames { pub fn new(v: Vec<String>) -> FieldNames { FieldNames(v) } }
#[derive(Debug, Clone)]
pub struct Redactor(FieldNames);
impl Redactor {
    pub fn new(_: PseudonymKey, n: FieldNames) -> Redactor { Redactor(n) }
    pub fn naming(&self, name: &str) -> Naming { match name { "password"|"secret" => Naming::Secret, "full_name" => Naming::Personal(Kind::Name), "phone" => Naming::Personal(Kind::Phone), n if self.0.0.iter().any(|x| x == n) => Naming::Personal(Kind::Personal), _ => Naming::Plain } }
    pub fn number(&self, t: &str) -> Option<Kind> { (t.len() == 11 && t.starts_with("79")).then_some(Kind::Phone) }
    pub fn replace(&self, k: Kind, o: &str, out: &mut Vec<u8>) {
        if o.starts_with("[") { return out.extend_from_slice(o.as_bytes()); }
        let h = o.to_lowercase().bytes().fold(7u64, |h, b| h.wrapping_mul(31).wrapping_add(b as u64));
        out.extend_from_slice(format!("[{}:{}]", format!("{k:?}").to_lowercase(), format!("{h:016x}").chars().map(|c| (c as u8 - b'0' + b'a').min(b'z') as char).collect::<String>()).as_bytes())
    }
    pub fn append(&self, text: &str, out: &mut Vec<u8>, mut clean: impl FnMut(&str, &mut Vec<u8>)) {
        let mut from = 0;
        for (at, _) in text.match_indices('@') {
            let b = text.as_bytes();
            let ok = |c: u8| c.is_ascii_alphanumeric() || c == b'.';
            let s = at - b[from.min(at)..at].iter().rev().take_while(|c| ok(**c)).count();
            let e = at + 1 + b[at+1..].iter().take_while(|c| ok(**c)).count();
            if s == at || e == at + 1 || !text[at+1..e].contains('.') { continue; }
            clean(&text[from..s], out);
            self.replace(Kind::Email, &text[s..e], out);
            from = e;
        }
        clean(&text[from..], out);
    }
}
