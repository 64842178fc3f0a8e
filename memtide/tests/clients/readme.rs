//! The README's client sections, as its readers find them.

use crate::toolchain::repository;

/// One `### heading` of the README with the fenced code blocks in it.
#[derive(Debug)]
pub(crate) struct Section {
    /// The heading's text.
    pub(crate) heading: String,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    language: String,
    text: String,
}

impl Section {
    /// Whether it shows any code.
    pub(crate) const fn has_code(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// The section's only code block in this language.
    ///
    /// # Panics
    /// When there is none, or there are several.
    pub(crate) fn block(&self, language: &str) -> &str {
        let found: Vec<_> = self.blocks.iter().filter(|b| b.language == language).collect();
        let [block] = found[..] else {
            panic!("{} {language} blocks in the README's `{}`", found.len(), self.heading);
        };
        &block.text
    }
}

/// The README's section with this heading.
///
/// # Panics
/// When there is none.
pub(crate) fn section(heading: &str) -> Section {
    let mut sections = client_sections();
    let position = sections.iter().position(|section| section.heading == heading);
    sections.swap_remove(position.unwrap_or_else(|| panic!("the README has no `### {heading}`")))
}

/// The sections below the README's `## Clients`.
///
/// # Panics
/// When the README cannot be read or has no such part.
pub(crate) fn client_sections() -> Vec<Section> {
    let path = repository().join("README.md");
    let readme = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()));
    let (_, clients) = readme.split_once("\n## Clients\n").expect("the README has `## Clients`");
    let (clients, _) = clients.split_once("\n## ").unwrap_or((clients, ""));
    clients.split("\n### ").skip(1).map(parse).collect()
}

fn parse(section: &str) -> Section {
    let (heading, text) = section.split_once('\n').unwrap_or((section, ""));
    // Fences alternate between opening and closing, so every second part is a block.
    let parts = text.split("```").skip(1).step_by(2);
    let blocks = parts
        .filter_map(|part| part.split_once('\n'))
        .map(|(language, text)| Block { language: language.to_owned(), text: text.to_owned() });
    Section { heading: heading.to_owned(), blocks: blocks.collect() }
}
