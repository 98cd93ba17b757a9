//! Cuts the text of a query into tokens, one at a time. What a character means depends on the brackets around it, as in
//! Prometheus' lexer, whose errors it repeats.

mod number;
pub(crate) mod token;

use token::{Keyword, Kind, Token};

use crate::{
    ast::{BinaryOp, PosRange},
    error::ParseError,
    quote::QuotedChar,
};

/// Where in the text the lexer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside braces and brackets.
    Expression,
    /// Inside `{...}`.
    Braces,
    /// Inside `[...]`, before the first number. Only there a second kind of errors is used.
    DurationStart,
    /// Inside `[...]`, after a number.
    Duration,
}

/// The lexer of one query.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    query: &'a str,
    /// The next byte to read; always at a character's start.
    at: usize,
    /// First byte of the token that is being read.
    start: usize,
    place: Place,
    parens: u32,
    seen_colon: bool,
    /// Whether a number was read in the bracket that is open.
    seen_number: bool,
}

pub(crate) type Lexed<'a> = Result<Token<'a>, ParseError>;

impl<'a> Lexer<'a> {
    pub(crate) const fn new(query: &'a str) -> Self {
        Self { query, at: 0, start: 0, place: Place::Expression, parens: 0, seen_colon: false, seen_number: false }
    }

    /// The next token; after the last one [`Kind::Eof`] again and again.
    ///
    /// # Errors
    /// What is no token, as Prometheus words it.
    pub(crate) fn next_token(&mut self) -> Lexed<'a> {
        self.skip_blank();
        let Some(c) = self.peek() else { return self.end() };
        match self.place {
            Place::Expression | Place::Duration => self.in_expression(c),
            Place::Braces => self.in_braces(c),
            Place::DurationStart => self.at_duration(c),
        }
    }

    /// The text from the next byte on, for those who read another notation behind a selector.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    fn end(&self) -> Lexed<'a> {
        match self.place {
            Place::Braces => Err(self.error("unexpected end of input inside braces")),
            Place::DurationStart => Err(self.error("unexpected end of input in duration expression")),
            _ if self.parens > 0 => Err(self.error("unclosed left parenthesis")),
            Place::Duration => Err(self.error("unclosed left bracket")),
            Place::Expression => Ok(self.token(Kind::Eof)),
        }
    }

    fn in_expression(&mut self, c: char) -> Lexed<'a> {
        if c.is_ascii_digit() || (c == '.' && self.peek_second().is_some_and(|c| c.is_ascii_digit())) {
            return self.number_or_duration();
        }
        if is_alpha(c) || c == ':' {
            return if self.place == Place::Duration { self.word_in_bracket(c) } else { Ok(self.word()) };
        }
        self.bump();
        match c {
            ',' => Ok(self.token(Kind::Comma)),
            '"' | '\'' => self.string(c),
            '`' => self.raw_string(),
            '*' => Ok(self.token(Kind::Op(BinaryOp::Mul))),
            '/' => Ok(self.token(Kind::Op(BinaryOp::Div))),
            '%' => Ok(self.token(Kind::Op(BinaryOp::Mod))),
            '+' => Ok(self.token(Kind::Op(BinaryOp::Add))),
            '-' => Ok(self.token(Kind::Op(BinaryOp::Sub))),
            '^' => Ok(self.token(Kind::Op(BinaryOp::Pow))),
            '@' => Ok(self.token(Kind::At)),
            '=' | '!' | '<' | '>' => self.comparison(c),
            '(' => Ok(self.open_paren()),
            ')' => self.close_paren(),
            '{' => {
                self.place = Place::Braces;
                Ok(self.token(Kind::LeftBrace))
            }
            '[' if self.place == Place::Duration => Err(self.error("unexpected left bracket '['")),
            '[' => {
                let token = self.token(Kind::LeftBracket);
                self.place = Place::DurationStart;
                self.seen_colon = false;
                Ok(token)
            }
            ']' if self.place == Place::Duration => {
                self.place = Place::Expression;
                Ok(self.token(Kind::RightBracket))
            }
            ']' => Err(self.error("unexpected right bracket ']'")),
            c => Err(self.error(format!("unexpected character: {}", QuotedChar(c)))),
        }
    }

    /// After `=`, `!`, `<` or `>`.
    fn comparison(&mut self, c: char) -> Lexed<'a> {
        let next = self.peek();
        let kind = match (c, next) {
            ('=', Some('=')) => Kind::Op(BinaryOp::Eql),
            ('=', Some('~')) => return Err(self.error("unexpected character after '=': '~'")),
            ('=', _) => return Ok(self.token(Kind::Equal)),
            ('!', Some('=')) => Kind::Op(BinaryOp::Neq),
            ('!', next) => {
                return Err(self.error(format!("unexpected character after '!': {}", shown(next))));
            }
            ('<', Some('=')) => Kind::Op(BinaryOp::Lte),
            ('<', Some('/')) => Kind::Op(BinaryOp::TrimUpper),
            ('<', _) => return Ok(self.token(Kind::Op(BinaryOp::Lss))),
            (_, Some('=')) => Kind::Op(BinaryOp::Gte),
            (_, Some('/')) => Kind::Op(BinaryOp::TrimLower),
            _ => return Ok(self.token(Kind::Op(BinaryOp::Gtr))),
        };
        self.bump();
        Ok(self.token(kind))
    }

    fn open_paren(&mut self) -> Token<'a> {
        self.parens += 1;
        self.token(Kind::LeftParen)
    }

    fn close_paren(&mut self) -> Lexed<'a> {
        let Some(parens) = self.parens.checked_sub(1) else {
            self.start = self.at;
            return Err(self.error("unexpected right parenthesis ')'"));
        };
        self.parens = parens;
        Ok(self.token(Kind::RightParen))
    }

    /// A keyword or a name, which may have colons.
    fn word(&mut self) -> Token<'a> {
        self.bump_while(|c| is_alphanumeric(c) || c == ':');
        let token = self.token(Kind::Identifier);
        let mut kind = token::word(token.text);
        if matches!(kind, Kind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight)) {
            let rest = self.query.get(self.at..).unwrap_or_default();
            if !rest.trim_start_matches(is_space).starts_with('(') {
                kind = Kind::Identifier;
            }
        }
        Token { kind, ..token }
    }

    /// A colon or `step`, `range`, `min_of`, `max_of`, after a number inside brackets.
    fn word_in_bracket(&mut self, c: char) -> Lexed<'a> {
        if c == ':' {
            if self.seen_colon {
                self.bump();
                return Err(self.error("unexpected colon ':'"));
            }
            self.bump();
            self.seen_colon = true;
            return Ok(self.token(Kind::Colon));
        }
        self.duration_word().ok_or_else(|| self.error(format!("unexpected character: {}, expected ':'", QuotedChar(c))))
    }

    fn duration_word(&mut self) -> Option<Token<'a>> {
        self.bump_while(is_alpha);
        let token = self.token(Kind::Identifier);
        match token::word(token.text) {
            kind @ Kind::Keyword(Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf) => {
                Some(Token { kind, ..token })
            }
            _ => {
                // The error stands at the word.
                self.start = token.pos.start as usize;
                None
            }
        }
    }

    /// Inside brackets, before the first number.
    fn at_duration(&mut self, c: char) -> Lexed<'a> {
        if c.is_ascii_digit() || (c == '.' && self.peek_second().is_some_and(|c| c.is_ascii_digit())) {
            self.seen_number = true;
            self.place = Place::Duration;
            return self.number_or_duration();
        }
        if matches!(c.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return self
                .duration_word()
                .ok_or_else(|| self.error(format!("unexpected character in duration expression: {}", QuotedChar(c))));
        }
        self.bump();
        let kind = match c {
            ']' => {
                self.place = Place::Expression;
                Kind::RightBracket
            }
            ':' if !self.seen_number => {
                self.start = self.at;
                return Err(self.error("unexpected colon before duration in duration expression"));
            }
            ':' if self.seen_colon => {
                self.start = self.at;
                return Err(self.error("unexpected repeated colon in duration expression"));
            }
            ':' => {
                self.seen_colon = true;
                Kind::Colon
            }
            '(' => return Ok(self.open_paren()),
            ')' => return self.close_paren(),
            '+' => Kind::Op(BinaryOp::Add),
            '-' => Kind::Op(BinaryOp::Sub),
            '*' => Kind::Op(BinaryOp::Mul),
            '/' => Kind::Op(BinaryOp::Div),
            '%' => Kind::Op(BinaryOp::Mod),
            '^' => Kind::Op(BinaryOp::Pow),
            ',' => Kind::Comma,
            c => {
                let message = format!("unexpected character in duration expression: {}", QuotedChar(c));
                return Err(self.error(message));
            }
        };
        Ok(self.token(kind))
    }

    fn in_braces(&mut self, c: char) -> Lexed<'a> {
        if is_alpha(c) {
            self.bump_while(is_alphanumeric);
            return Ok(self.token(Kind::Identifier));
        }
        self.bump();
        let kind = match (c, self.peek()) {
            (',', _) => return Ok(self.token(Kind::Comma)),
            ('"' | '\'', _) => return self.string(c),
            ('`', _) => return self.raw_string(),
            ('=', Some('~')) => Kind::EqualRegex,
            ('=', _) => return Ok(self.token(Kind::Equal)),
            ('!', Some('~')) => Kind::NotEqualRegex,
            ('!', Some('=')) => Kind::Op(BinaryOp::Neq),
            ('!', next) => {
                let message = format!("unexpected character after '!' inside braces: {}", shown(next));
                return Err(self.error(message));
            }
            ('{', _) => return Err(self.error("unexpected left brace '{'")),
            ('}', _) => {
                self.place = Place::Expression;
                return Ok(self.token(Kind::RightBrace));
            }
            (c, _) => {
                return Err(self.error(format!("unexpected character inside braces: {}", QuotedChar(c))));
            }
        };
        self.bump();
        Ok(self.token(kind))
    }

    /// After the opening quote. The escapes are checked here, and read when the token is used.
    fn string(&mut self, quote: char) -> Lexed<'a> {
        loop {
            match self.bump() {
                Some('\\') => self.escape(quote)?,
                None | Some('\n') => return Err(self.error("unterminated quoted string")),
                Some(c) if c == quote => return Ok(self.token(Kind::String)),
                Some(_) => {}
            }
        }
    }

    fn escape(&mut self, quote: char) -> Result<(), ParseError> {
        const UNFINISHED: &str = "escape sequence not terminated";
        let (count, radix, max) = match self.bump() {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(c) if c == quote => return Ok(()),
            Some('0'..='7') => {
                // The first digit belongs to the number.
                self.at -= 1;
                (3, 8, 255)
            }
            Some('x') => (2, 16, 255),
            Some('u') => (4, 16, u32::from(char::MAX)),
            Some('U') => (8, 16, u32::from(char::MAX)),
            Some(c) => return Err(self.error(format!("unknown escape sequence {}", code_point(c)))),
            None => return Err(self.error(UNFINISHED)),
        };
        let mut code = 0u32;
        for _ in 0..count {
            let c = self.bump().ok_or_else(|| self.error(UNFINISHED))?;
            let digit = c
                .to_digit(radix)
                .ok_or_else(|| self.error(format!("illegal character {} in escape sequence", code_point(c))))?;
            // At most eight hexadecimal digits.
            code = code.wrapping_mul(radix).wrapping_add(digit);
        }
        if code > max || (0xd800..0xe000).contains(&code) {
            return Err(self.error("escape sequence is an invalid Unicode code point"));
        }
        Ok(())
    }

    fn raw_string(&mut self) -> Lexed<'a> {
        loop {
            match self.bump() {
                Some('`') => return Ok(self.token(Kind::String)),
                Some(_) => {}
                None => return Err(self.error("unterminated raw string")),
            }
        }
    }

    /// Skips spaces, and comments where there can be any.
    fn skip_blank(&mut self) {
        loop {
            self.bump_while(is_space);
            if self.peek() != Some('#') || self.place == Place::DurationStart {
                break;
            }
            self.bump_while(|c| c != '\n' && c != '\r');
        }
        self.start = self.at;
    }

    /// Ends the token here.
    fn token(&self, kind: Kind) -> Token<'a> {
        Token {
            kind,
            text: self.query.get(self.start..self.at).unwrap_or_default(),
            pos: PosRange { start: self.start as u32, end: self.at as u32 },
        }
    }

    /// An error from the token's start to the text's end.
    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.query, PosRange { start: self.start as u32, end: self.query.len() as u32 }, message)
    }

    fn peek(&self) -> Option<char> {
        self.query.get(self.at..).and_then(|rest| rest.chars().next())
    }

    fn peek_second(&self) -> Option<char> {
        self.query.get(self.at..).and_then(|rest| rest.chars().nth(1))
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn bump_while(&mut self, accept: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&accept) {
            self.bump();
        }
    }

    fn accept(&mut self, accept: impl Fn(char) -> bool) -> bool {
        let accepted = self.peek().is_some_and(accept);
        if accepted {
            self.bump();
        }
        accepted
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

const fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

const fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}

/// A character as Go's `%q` shows it; Go's lexer has an invalid rune at the end.
fn shown(c: Option<char>) -> QuotedChar {
    QuotedChar(c.unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// A character as Go's `%#U` shows it.
fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}

#[cfg(test)]
mod tests;
