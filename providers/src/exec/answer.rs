//! Answers of a program, read field by field: what is wrong is reported in this program's words,
//! and an entry that cannot be read costs only itself.

use serde_json::{Map, Value};

/// The value of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Text,
    Texts,
    Whole,
    Flag,
}

impl Form {
    fn fits(self, value: &Value) -> bool {
        let is_whole = |value: &Value| value.as_u64().is_some_and(|it| u32::try_from(it).is_ok());
        match self {
            Self::Text => value.is_string(),
            Self::Texts => value
                .as_array()
                .is_some_and(|list| list.iter().all(Value::is_string)),
            Self::Whole => is_whole(value),
            Self::Flag => value.is_boolean(),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Texts => "a list of texts",
            Self::Whole => "a whole number without quotes",
            Self::Flag => "true or false",
        }
    }
}

/// The fields of an object that this program knows, without those that are `null`.
///
/// # Errors
/// Every field that is not what it should be.
pub(super) fn fields(value: Value, known: &[(&str, Form)]) -> Result<Map<String, Value>, String> {
    let Value::Object(mut fields) = value else {
        return Err(format!("it is {}, not an object", shown(&value)));
    };
    fields.retain(|_, value| !value.is_null());
    let wrong = known.iter().filter_map(|(key, form)| {
        let value = fields.get(*key).filter(|value| !form.fits(value))?;
        Some(format!(
            "`{key}` must be {}, and is {}",
            form.words(),
            shown(value)
        ))
    });
    let wrong: Vec<String> = wrong.collect();
    match wrong.is_empty() {
        true => Ok(fields),
        false => Err(wrong.join("; ")),
    }
}

/// A value in few characters.
fn shown(value: &Value) -> String {
    const MOST: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
