//! What a record is about.

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Who somebody is.
    Authentication,
    /// What somebody may do.
    Authorization,
    /// Contracts, documents, users.
    BusinessLogic,
    /// Queries.
    Database,
    /// Calls to others.
    ExternalApi,
    /// Durations.
    Performance,
    /// Attacks and what looks like them.
    Security,
    /// Everything else.
    System,
    /// Who did what, for the record.
    Audit,
}

impl Category {
    /// All categories with their names in schema v1.
    pub const NAMES: [(&str, Category); 9] = [
        ("authentication", Category::Authentication),
        ("authorization", Category::Authorization),
        ("business_logic", Category::BusinessLogic),
        ("database", Category::Database),
        ("external_api", Category::ExternalApi),
        ("performance", Category::Performance),
        ("security", Category::Security),
        ("system", Category::System),
        ("audit", Category::Audit),
    ];

    /// Reads the names of schema v1, in any case, also as Python prints the source document's enum
    /// (`LogCategory.EXTERNAL_API`).
    pub fn parse(text: &str) -> Option<Category> {
        let name = text.strip_prefix("LogCategory.").unwrap_or(text);
        Category::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, category)| *category)
    }

    /// Its name in schema v1.
    pub const fn as_str(self) -> &'static str {
        // They are listed in their order.
        Category::NAMES[self as usize].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_in_the_order_of_what_they_name() {
        for (place, (name, category)) in Category::NAMES.into_iter().enumerate() {
            assert_eq!((category as usize, category.as_str()), (place, name));
        }
    }

    #[test]
    fn categories_are_read_by_value_and_by_enum_name() {
        assert_eq!(Category::parse("external_api"), Some(Category::ExternalApi));
        assert_eq!(Category::parse("LogCategory.EXTERNAL_API"), Some(Category::ExternalApi));
        assert_eq!(Category::parse("gossip"), None);
    }
}
