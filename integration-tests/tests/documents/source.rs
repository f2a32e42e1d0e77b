//! Just enough of Rust's grammar to find comments, functions and test modules.

/// `text` with comments and the contents of literals turned into blanks; lines stay where they are.
pub(crate) fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&char| if char == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// The end of the comment or literal that begins at `at`; `at` if none begins there.
fn skipped(chars: &[char], at: usize) -> usize {
    let is = |from: usize, text: &str| text.chars().enumerate().all(|(i, char)| chars.get(from + i) == Some(&char));
    let until = |from: usize, text: &str| (from..chars.len()).find(|&i| is(i, text)).map_or(chars.len(), |i| i + text.chars().count());
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    if is(at, "//") {
        return (at..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len());
    }
    if is(at, "/*") {
        return until(at + 2, "*/");
    }
    if !in_word && (chars[at] == 'r' || is(at, "br")) {
        let hashes_at = at + if chars[at] == 'b' { 2 } else { 1 };
        let hashes = chars[hashes_at..].iter().take_while(|&&char| char == '#').count();
        if chars.get(hashes_at + hashes) == Some(&'"') {
            return until(hashes_at + hashes + 1, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if chars[at] == '"' {
        return quoted(chars, at, '"');
    }
    // A quote begins a character, or else a lifetime or label.
    if chars[at] == '\'' && (chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')) {
        return quoted(chars, at, '\'');
    }
    at
}

fn quoted(chars: &[char], at: usize, quote: char) -> usize {
    let mut i = at + 1;
    while i < chars.len() && chars[i] != quote {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// `code` without the items under `#[cfg(test)]`.
pub(crate) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut rest = code.to_owned();
    while let Some(start) = rest.find(MARK) {
        let end = start + MARK.len() + item_end(&rest[start + MARK.len()..]);
        let blank: String = rest[start..end].chars().map(|char| if char == '\n' { '\n' } else { ' ' }).collect();
        rest.replace_range(start..end, &blank);
    }
    rest
}

/// The bytes of the item at the start of `code`: to its `;`, or to the brace that closes it.
fn item_end(code: &str) -> usize {
    let mut depth = 0usize;
    for (at, char) in code.char_indices() {
        match char {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && char == '}' {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// A function: its name, its first line (from 1) and how many lines it takes.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// The functions with a body in `code`, where neither comments nor strings are left.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_') {
            continue;
        }
        let rest = &code[at + 3..];
        let name: String = rest.chars().take_while(|&char| char.is_alphanumeric() || char == '_').collect();
        let item = &rest[..item_end(rest)];
        if !name.is_empty() && item.ends_with('}') {
            let line = code[..at].matches('\n').count() + 1;
            found.push(Function { name, line, lines: item.matches('\n').count() + 1 });
        }
    }
    found
}

/// The words of `line`: identifiers, with what is between them left out.
pub(crate) fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|char: char| !(char.is_alphanumeric() || char == '_')).filter(|word| !word.is_empty())
}

#[test]
fn comments_literals_and_tests_are_left_out() {
    let text = "fn a<'x>(c: char) { // {\n \"}\\\"\"; r#\"}\"}\"#; '}'; '\\''; /* { */ }\n#[cfg(test)]\nmod tests { fn b() {} }\nfn c();\n";
    let code = without_tests(&code(text));
    let found: Vec<_> = functions(&code).iter().map(|function| (function.name.clone(), function.line, function.lines)).collect();
    assert_eq!(found, [("a".to_owned(), 1, 2)]);
    assert_eq!(code.matches('\n').count(), text.matches('\n').count());
}
