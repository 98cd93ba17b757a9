//! A grid of braille cells, two dots wide and four dots high each.

/// The bit of each dot of a cell, by row and column (Unicode, block "Braille Patterns").
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    dots: u8,
    /// The series that drew here last.
    owner: usize,
}

/// A drawing of `width` by `height` cells.
#[derive(Debug)]
pub(super) struct Canvas {
    width: usize,
    height: usize,
    cells: Vec<Cell>,
}

impl Canvas {
    /// An empty drawing; both sides are at least 1.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Self { width, height, cells: vec![Cell::default(); width * height] }
    }

    /// The row of cells at this fraction of the height, from above.
    pub(super) fn row_of(&self, y: f64) -> usize {
        self.dot_y(y) / 4
    }

    fn dot_y(&self, y: f64) -> usize {
        (y.clamp(0.0, 1.0) * (self.height * 4 - 1) as f64).round() as usize
    }

    fn dot_x(&self, x: f64) -> usize {
        (x.clamp(0.0, 1.0) * (self.width * 2 - 1) as f64).round() as usize
    }

    /// Draws a straight line between two points, given as fractions of width and height from the upper left.
    pub(super) fn line(&mut self, owner: usize, from: (f64, f64), to: (f64, f64)) {
        let (x0, y0) = (self.dot_x(from.0) as f64, self.dot_y(from.1) as f64);
        let (x1, y1) = (self.dot_x(to.0) as f64, self.dot_y(to.1) as f64);
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).max(1.0) as usize;
        for i in 0..=steps {
            let part = i as f64 / steps as f64;
            self.dot(owner, (x0 + (x1 - x0) * part).round() as usize, (y0 + (y1 - y0) * part).round() as usize);
        }
    }

    fn dot(&mut self, owner: usize, x: usize, y: usize) {
        if x / 2 >= self.width {
            return;
        }
        let bit = DOTS.get(y % 4).and_then(|row| row.get(x % 2)).copied().unwrap_or(0);
        if let Some(cell) = self.cells.get_mut(y / 4 * self.width + x / 2) {
            cell.dots |= bit;
            cell.owner = owner;
        }
    }

    /// Appends a row. `paint` tells a series' ANSI colour and the mark to show instead of its dots.
    pub(super) fn write_row(&self, out: &mut String, row: usize, paint: impl Fn(usize) -> (Option<u8>, Option<char>)) {
        let mut painted = None;
        for cell in self.cells.iter().skip(row * self.width).take(self.width) {
            let (color, mark) = if cell.dots == 0 { (None, None) } else { paint(cell.owner) };
            if color != painted {
                out.push_str(&color.map_or_else(|| "\u{1b}[0m".to_owned(), |code| format!("\u{1b}[{code}m")));
                painted = color;
            }
            out.push(match mark {
                Some(mark) => mark,
                None if cell.dots == 0 => ' ',
                None => char::from_u32(0x2800 + u32::from(cell.dots)).unwrap_or(' '),
            });
        }
        if painted.is_some() {
            out.push_str("\u{1b}[0m");
        }
        out.truncate(out.trim_end_matches(' ').len());
    }
}
