// SPDX-License-Identifier: GPL-2.0-or-later
//! The cells that a case applies to, and those of its short run.

use anyhow::{Result, ensure};

use crate::case::Case;
use crate::cell::{Cell, Initrd, Suite};

impl Case {
    /// What it is cited by: the file's name.
    #[must_use]
    pub fn slug(&self) -> &str {
        self.name.split_once('/').map_or(self.name.as_str(), |(_, slug)| slug)
    }

    /// What its logs are called.
    #[must_use]
    pub fn file_name(&self, cell: Cell) -> String {
        format!("{}-{}-{}", self.slug(), cell.suite, cell.initrd)
    }

    /// A number that hangs on nothing but the name, so that no other case changes it.
    fn turn(&self) -> usize {
        self.name.bytes().fold(0, |sum: usize, byte| (sum * 31 + usize::from(byte)) % 9973)
    }

    /// All cells the case applies to.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let suites = self.suites.clone().unwrap_or(Suite::MAIN.to_vec());
        let initrds = self.initrds.clone().unwrap_or(Initrd::ALL.to_vec());
        let fits = |cell: &Cell| match &self.cells {
            _ if self.also.contains(&cell.to_string()) => true,
            Some(names) => names.contains(&cell.to_string()),
            None => suites.contains(&cell.suite) && initrds.contains(&cell.initrd),
        };
        Cell::ALL.into_iter().filter(fits).collect()
    }

    /// The cells of the short run: those named, or one by the case's name.
    ///
    /// # Errors
    /// A name which is no cell of this case.
    pub fn cut_cells(&self) -> Result<Vec<Cell>> {
        let cells = self.cells();
        let Some(names) = &self.cut else {
            // cases with two cells alternate the pair by their name: halve its turn, so that both come up
            let cells: Vec<_> = cells.into_iter().filter(|cell| Cell::MAIN.contains(cell)).collect();
            let index = self.turn() * cells.len() / Cell::MAIN.len() % cells.len().max(1);
            return Ok(cells.into_iter().skip(index).take(1).collect());
        };
        let mut cut = Vec::new();
        for name in names {
            let cell: Cell = name.parse()?;
            ensure!(cells.contains(&cell), "the cut names {cell}, which the case excludes");
            cut.push(cell);
        }
        Ok(cut)
    }
}
