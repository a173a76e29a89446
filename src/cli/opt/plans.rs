//! Plans in files: written for `--plan-out`, read for `apply-plan`; and models that a pipeline names.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::ir::Model;
use crate::onnx::OpenOptions;
use crate::passes::manager::Report;
use crate::passes::pass::Files;

/// Reads from the disk what a pipeline names, and writes it there.
pub(super) struct FromDisk;

impl Files for FromDisk {
    fn read(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn model(&self, path: &str) -> Result<Model, String> {
        let opened = crate::onnx::open(Path::new(path), OpenOptions::default());
        opened.map(|file| file.model).map_err(|error| error.to_string())
    }

    fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), String> {
        output::replace(Path::new(path), bytes).map_err(|error| error.to_string())
    }
}

/// Writes the plan of a run; of several, a list of them.
pub(super) fn write(path: &Path, run: &Report) -> Result<(), Failure> {
    let mut plans: Vec<Value> = run.passes.iter().filter_map(|pass| pass.plan.clone()).collect();
    let plan = match plans.len() {
        0 => return Err(Failure::request("no pass of the pipeline makes a plan")),
        1 => plans.remove(0),
        _ => Value::Array(plans),
    };
    let mut text = String::new();
    lay_out(&plan, 0, &mut text);
    text.push('\n');
    std::fs::write(path, text).map_err(|error| Failure::request(format!("{}: {error}", path.display())))
}

/// JSON as people read it: an entry a line, lists of numbers in one.
fn lay_out(value: &Value, depth: usize, text: &mut String) {
    let indent = |depth: usize, text: &mut String| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Array(list) if list.iter().any(|item| item.is_object() || item.is_array()) => {
            text.push('[');
            for (index, item) in list.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                indent(depth + 1, text);
                lay_out(item, depth + 1, text);
            }
            indent(depth, text);
            text.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            text.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                indent(depth + 1, text);
                // Writing to a string cannot fail.
                let _ = write!(text, "{}: ", Value::from(key.as_str()));
                lay_out(item, depth + 1, text);
            }
            indent(depth, text);
            text.push('}');
        }
        flat => text.push_str(&flat.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers_stay_on_a_line() {
        let plan = serde_json::json!({"groups": [{"kept": [0, 2], "name": "a\"b"}], "pinned": []});
        let mut text = String::new();
        lay_out(&plan, 0, &mut text);
        insta::assert_snapshot!(text, @r#"
        {
          "groups": [
            {
              "kept": [0,2],
              "name": "a\"b"
            }
          ],
          "pinned": []
        }
        "#);
    }
}
