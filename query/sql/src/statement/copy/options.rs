//! The options of COPY.

use datafusion::sql::sqlparser::ast::{CopyLegacyCsvOption, CopyLegacyOption, CopyOption};

use crate::{
    error::{Result, SqlError},
    outcome::CopyOptions,
    parse::ident,
};

/// What a COPY's options ask for, before defaults.
#[derive(Default)]
struct Asked {
    binary: bool,
    csv: bool,
    header: bool,
    delimiter: Option<char>,
    null: Option<String>,
    quote: Option<char>,
    escape: Option<char>,
}

/// The format that the options say.
///
/// # Errors
/// When there is no such format, or a character is not of one byte.
pub(super) fn read(options: &[CopyOption], legacy: &[CopyLegacyOption]) -> Result<CopyOptions> {
    let mut asked = Asked::default();
    for option in options {
        match option {
            CopyOption::Format(format) => match ident(format).as_str() {
                "text" => {}
                "csv" => asked.csv = true,
                "binary" => asked.binary = true,
                other => {
                    return Err(SqlError::new(b"22023", format!("COPY format \"{other}\" not recognized"))
                        .with_hint("there are text, csv and binary"));
                }
            },
            CopyOption::Delimiter(c) => asked.delimiter = Some(*c),
            CopyOption::Null(text) => asked.null = Some(text.clone()),
            CopyOption::Header(on) => asked.header = *on,
            CopyOption::Quote(c) => asked.quote = Some(*c),
            CopyOption::Escape(c) => asked.escape = Some(*c),
            CopyOption::Freeze(false) => {}
            CopyOption::Encoding(name) if matches!(name.to_lowercase().as_str(), "utf8" | "utf-8") => {}
            other => return Err(SqlError::unsupported(format!("the COPY option {other}"))),
        }
    }
    for option in legacy {
        match option {
            CopyLegacyOption::Csv(options) => {
                asked.csv = true;
                options.iter().try_for_each(|option| legacy_csv(option, &mut asked))?;
            }
            CopyLegacyOption::Binary => asked.binary = true,
            CopyLegacyOption::Delimiter(c) => asked.delimiter = Some(*c),
            CopyLegacyOption::Null(text) => asked.null = Some(text.clone()),
            CopyLegacyOption::Header => asked.header = true,
            other => return Err(SqlError::unsupported(format!("the COPY option {other}"))),
        }
    }
    finish(asked)
}

fn legacy_csv(option: &CopyLegacyCsvOption, asked: &mut Asked) -> Result<()> {
    match option {
        CopyLegacyCsvOption::Header => asked.header = true,
        CopyLegacyCsvOption::Quote(c) => asked.quote = Some(*c),
        CopyLegacyCsvOption::Escape(c) => asked.escape = Some(*c),
        other => return Err(SqlError::unsupported(format!("the COPY option {other}"))),
    }
    Ok(())
}

fn finish(asked: Asked) -> Result<CopyOptions> {
    let byte = |c: Option<char>, default: u8, what: &str| match c {
        None => Ok(default),
        Some(c) if c.is_ascii() && !matches!(c, '\n' | '\r') => Ok(c as u8),
        Some(_) => Err(SqlError::new(b"22023", format!("COPY {what} must be a single one-byte character"))),
    };
    let of_text = asked.delimiter.is_some() || asked.null.is_some() || asked.header;
    if asked.binary && (asked.csv || of_text || asked.quote.is_some() || asked.escape.is_some()) {
        return Err(SqlError::new(b"42601", "cannot specify options of text in BINARY mode"));
    }
    if !asked.csv && (asked.quote.is_some() || asked.escape.is_some()) {
        return Err(SqlError::new(b"22023", "COPY QUOTE and ESCAPE require CSV mode"));
    }
    let quote = byte(asked.quote, b'"', "quote")?;
    let options = CopyOptions {
        binary: asked.binary,
        csv: asked.csv,
        delimiter: byte(asked.delimiter, if asked.csv { b',' } else { b'\t' }, "delimiter")?,
        null: asked.null.unwrap_or_else(|| if asked.csv { String::new() } else { "\\N".to_owned() }),
        header: asked.header,
        quote,
        escape: byte(asked.escape, quote, "escape")?,
    };
    let clash = if options.csv {
        options.delimiter == quote
    } else {
        b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&options.delimiter)
    };
    if clash {
        let message = format!("COPY delimiter cannot be \"{}\"", options.delimiter as char);
        return Err(SqlError::new(b"22023", message));
    }
    Ok(options)
}
