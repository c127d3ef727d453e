//! The little of HTML that is needed to fill in a form as a browser without JavaScript would.

use keyledger_tests::Reply;

/// The fields of the page's form that has an input `password`, with the values they come with.
pub(super) fn login_fields(page: &Reply) -> Vec<(String, String)> {
    let form = page
        .text()
        .split("<form")
        .skip(1)
        .find(|form| form.contains("name=\"password\""));
    let form = form.unwrap_or_else(|| panic!("no form with a password in {page:?}"));
    let form = form.split("</form").next().unwrap_or(form);
    let inputs = form
        .split("<input")
        .skip(1)
        .map(|input| input.split('>').next().unwrap_or(input));
    inputs
        .filter_map(|input| {
            Some((
                attribute(input, "name")?,
                attribute(input, "value").unwrap_or_default(),
            ))
        })
        .collect()
}

/// The fields with one given, in place of the value it came with.
pub(super) fn filled(
    fields: Vec<(String, String)>,
    name: &str,
    value: &str,
) -> Vec<(String, String)> {
    assert!(
        fields.iter().any(|(its, _)| its == name),
        "the form has no field {name}"
    );
    let fill = |(its, had)| {
        if its == name {
            (its, value.to_owned())
        } else {
            (its, had)
        }
    };
    fields.into_iter().map(fill).collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split_once(&format!(" {name}=\""))?.1;
    let value = rest.split('"').next()?;
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#x27;", "'")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}
