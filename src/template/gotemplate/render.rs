//! Rendering: a parsed template and data in, a text out.

use super::GoTemplateData;
use super::error::GoTemplateError;
use super::functions;
use super::parse::{Branch, GoTemplate, Node, Operand, OperandKind, Pipeline};
use super::value::Value;
use crate::diagnostic::nearest;

/// The bytes that a text may grow to.
pub(super) const MAX_OUTPUT: usize = 16 << 20;

/// How many nodes and commands may be evaluated.
const MAX_STEPS: usize = 100_000;

/// How deeply templates may call each other.
const MAX_CALLS: usize = 100;

/// Renders a template.
pub(super) fn render(
    template: &GoTemplate,
    data: &GoTemplateData,
) -> Result<String, GoTemplateError> {
    let root = Value::Map(data.fields.clone());
    let mut renderer = Renderer {
        template,
        data,
        output: String::new(),
        variables: vec![(String::new(), root.clone())],
        steps: 0,
        calls: 0,
    };
    renderer.nodes(&template.nodes, &root)?;
    Ok(renderer.output)
}

/// What comes after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Rendered<T> = Result<T, GoTemplateError>;

struct Renderer<'a> {
    template: &'a GoTemplate,
    data: &'a GoTemplateData,
    output: String,
    /// Variables and their values, the innermost last; `$` has the name "".
    variables: Vec<(String, Value)>,
    steps: usize,
    calls: usize,
}

impl Renderer<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Rendered<Flow> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Rendered<Flow> {
        match node {
            Node::Text(text) => self.write(text, 0)?,
            Node::Output(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.write(&value.to_string(), pipeline.offset)?;
                }
            }
            Node::If(branch) => return self.branch(branch, dot, false),
            Node::With(branch) => return self.branch(branch, dot, true),
            Node::Range(branch) => return self.range(branch, dot),
            Node::Template { name, data, offset } => {
                let value = match data {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Nil,
                };
                self.call_template(name, value, *offset)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn write(&mut self, text: &str, offset: usize) -> Rendered<()> {
        if self.output.len().saturating_add(text.len()) > MAX_OUTPUT {
            return Err(GoTemplateError::new(
                offset,
                format!("the text grows beyond {} MiB", MAX_OUTPUT >> 20),
            ));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn step(&mut self, offset: usize) -> Rendered<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(GoTemplateError::new(offset, "it takes too many steps"));
        }
        Ok(())
    }

    fn branch(&mut self, branch: &Branch, dot: &Value, changes_dot: bool) -> Rendered<Flow> {
        let visible = self.variables.len();
        let value = self.pipeline(&branch.pipeline, dot)?;
        let flow = match value.truth() {
            true if changes_dot => self.nodes(&branch.yes, &value),
            true => self.nodes(&branch.yes, dot),
            false => self.nodes(&branch.no, dot),
        };
        self.variables.truncate(visible);
        flow
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Rendered<Flow> {
        let Branch { pipeline, yes, no } = branch;
        let visible = self.variables.len();
        let items: Vec<(Value, Value)> = match self.evaluate(pipeline, dot)? {
            Value::Map(entries) => entries
                .into_iter()
                .map(|(name, value)| (Value::Text(name), Value::Text(value)))
                .collect(),
            Value::Integer(count) => {
                let limit = i64::try_from(MAX_STEPS).unwrap_or(i64::MAX);
                (0..count.min(limit + 1))
                    .map(|index| (Value::Integer(index), Value::Integer(index)))
                    .collect()
            }
            Value::Nil => Vec::new(),
            other => {
                return Err(GoTemplateError::new(
                    pipeline.offset,
                    format!("{} cannot be iterated over", other.described()),
                ));
            }
        };
        if items.is_empty() {
            return self.nodes(no, dot);
        }
        for (key, value) in items {
            self.step(pipeline.offset)?;
            match pipeline.variables.as_slice() {
                [] => {}
                [one] => self.set(one, value.clone(), pipeline)?,
                [first, second, ..] => {
                    self.set(first, key, pipeline)?;
                    self.set(second, value.clone(), pipeline)?;
                }
            }
            let flow = self.nodes(yes, &value)?;
            self.variables.truncate(visible);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn call_template(&mut self, name: &str, value: Value, offset: usize) -> Rendered<()> {
        let Some(nodes) = self.template.named.get(name) else {
            return Err(GoTemplateError::new(
                offset,
                format!("no template {name:?} is defined"),
            ));
        };
        if self.calls >= MAX_CALLS {
            return Err(GoTemplateError::new(
                offset,
                format!("templates call each other more than {MAX_CALLS} levels deep"),
            ));
        }
        self.calls += 1;
        let outer = std::mem::replace(&mut self.variables, vec![(String::new(), value.clone())]);
        self.nodes(nodes, &value)?;
        self.variables = outer;
        self.calls -= 1;
        Ok(())
    }

    /// The value of a pipeline, which its variables get.
    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Rendered<Value> {
        let value = self.evaluate(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            self.set(name, value.clone(), pipeline)?;
        }
        Ok(value)
    }

    fn set(&mut self, name: &str, value: Value, pipeline: &Pipeline) -> Rendered<()> {
        if !pipeline.assigns {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        let mut variables = self.variables.iter_mut().rev();
        match variables.find(|(known, _)| known == name) {
            Some((_, variable)) => {
                *variable = value;
                Ok(())
            }
            None => Err(undefined(name, pipeline.offset)),
        }
    }

    fn evaluate(&mut self, pipeline: &Pipeline, dot: &Value) -> Rendered<Value> {
        let mut result: Option<Value> = None;
        for command in &pipeline.commands {
            self.step(pipeline.offset)?;
            result = Some(self.command(command, dot, result)?);
        }
        Ok(result.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Rendered<Value> {
        let Some((first, arguments)) = command.split_first() else {
            return Ok(Value::Nil);
        };
        if let OperandKind::Function(name) = &first.kind {
            let value = self.call(name, first, arguments, dot, piped)?;
            return fields_of(value, first);
        }
        if let Some(extra) = arguments.first() {
            return Err(GoTemplateError::new(
                extra.offset,
                "only functions take arguments",
            ));
        }
        if piped.is_some() {
            return Err(GoTemplateError::new(
                first.offset,
                "only a function can stand behind `|`",
            ));
        }
        self.operand(first, dot)
    }

    fn call(
        &mut self,
        name: &str,
        function: &Operand,
        arguments: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Rendered<Value> {
        // They stop at the first argument that decides.
        if let Some(wanted) = functions::short_circuit(name) {
            let mut last = None;
            for argument in arguments {
                let value = self.operand(argument, dot)?;
                if value.truth() == wanted {
                    return Ok(value);
                }
                last = Some(value);
            }
            return piped.or(last).ok_or_else(|| {
                GoTemplateError::new(
                    function.offset,
                    format!("`{name}` takes at least one value"),
                )
            });
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(argument, dot)?);
        }
        values.extend(piped);
        functions::call(name, &values, self.data)
            .map_err(|message| GoTemplateError::new(function.offset, message))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Rendered<Value> {
        let value = match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Literal(value) => value.clone(),
            OperandKind::Variable(name) => {
                let mut variables = self.variables.iter().rev();
                match variables.find(|(known, _)| known == name) {
                    Some((_, value)) => value.clone(),
                    None => return Err(undefined(name, operand.offset)),
                }
            }
            OperandKind::Function(name) => {
                self.step(operand.offset)?;
                self.call(name, operand, &[], dot, None)?
            }
            OperandKind::Parenthesis(pipeline) => {
                let visible = self.variables.len();
                let value = self.pipeline(pipeline, dot)?;
                self.variables.truncate(visible);
                value
            }
        };
        fields_of(value, operand)
    }
}

/// What the fields of an operand lead to.
fn fields_of(value: Value, operand: &Operand) -> Rendered<Value> {
    let mut value = value;
    for name in &operand.fields {
        let Value::Map(entries) = &value else {
            return Err(GoTemplateError::new(
                operand.offset,
                format!("{} has no field `{name}`", value.described()),
            ));
        };
        let Some(found) = entries.get(name) else {
            let known: Vec<&str> = entries.keys().map(String::as_str).collect();
            let help = match nearest(name, known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None if known.is_empty() => "there is nothing to refer to".to_owned(),
                None => format!("known are {}", known.join(", ")),
            };
            return Err(GoTemplateError::new(
                operand.offset,
                format!("there is no `{{{{ .{name} }}}}` here; {help}"),
            ));
        };
        value = Value::Text(found.clone());
    }
    Ok(value)
}

fn undefined(name: &str, offset: usize) -> GoTemplateError {
    GoTemplateError::new(offset, format!("there is no variable `${name}`"))
}
