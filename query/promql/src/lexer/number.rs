//! Numbers and durations as tokens. A token of this kind is not yet known to be a number; reading it decides.

use super::{Lexed, Lexer, is_alpha, is_alphanumeric, token::Kind};
use crate::quote::Quoted;

impl<'a> Lexer<'a> {
    pub(super) fn number_or_duration(&mut self) -> Lexed<'a> {
        if self.scan_number() {
            return Ok(self.token(Kind::Number));
        }
        if self.scan_rest_of_duration() {
            return Ok(self.token(Kind::Duration));
        }
        let text = self.query.get(self.start..self.at).unwrap_or_default();
        Err(self.error(format!("bad number or duration syntax: {}", Quoted(text))))
    }

    /// Reads `[.][digits][digits . _ e]*`. On failure the bytes read so far stay read, as in Prometheus.
    fn scan_number(&mut self) -> bool {
        let is_decimal = |c: char| c.is_ascii_digit();
        let is_hex = |c: char| c.is_ascii_hexdigit();
        let mut is_digit: fn(char) -> bool = is_decimal;
        if self.accept(|c| c == '0') && self.accept(|c| matches!(c, 'x' | 'X')) {
            self.accept(|c| c == '_');
            is_digit = is_hex;
        }
        self.accept(|c| c == '.');
        self.accept(is_digit);
        let (mut seen_point, mut seen_exponent) = (false, false);
        while let Some(c) = self.peek() {
            match c {
                '.' => {
                    self.bump();
                    if seen_point || self.accept(|c| matches!(c, '_' | '.')) || is_digit('a') {
                        return false;
                    }
                    seen_point = true;
                }
                'e' | 'E' => {
                    self.bump();
                    if seen_exponent {
                        return false;
                    }
                    seen_exponent = true;
                    self.accept(|c| matches!(c, '+' | '-'));
                    if self.accept(|c| matches!(c, '.' | '_' | 'e' | 'E')) || self.peek().is_none() {
                        return false;
                    }
                }
                '_' => {
                    self.bump();
                    if self.accept(|c| matches!(c, '.' | '_' | 'e' | 'E')) || self.peek().is_none() {
                        return false;
                    }
                }
                c if is_digit(c) => self.bump_while(is_digit),
                _ => break,
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    /// Reads a duration from its first unit on; its first number is read already.
    fn scan_rest_of_duration(&mut self) -> bool {
        if !self.accept(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w' | 'y')) {
            return false;
        }
        // For `ms`. Wrong units like `hs` are found when the token is read.
        self.accept(|c| c == 's');
        while self.accept(|c| c.is_ascii_digit()) {
            self.bump_while(|c| c.is_ascii_digit());
            if !self.accept(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w')) {
                return false;
            }
            self.accept(|c| c == 's');
        }
        // One more character shows that the token is bad.
        !self.accept(is_alpha)
    }
}
