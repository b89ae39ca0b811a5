//! Compares with reference outputs, case by case: `conformance FIXTURES [PART OF A NAME]...`

use neuromesh_infer::conformance;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the path of a fixtures file");
    let parts: Vec<String> = arguments.collect();
    let fixtures = std::fs::read(&path).expect("the fixtures");
    let chosen = |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()));
    let report = conformance::operators_where(&fixtures, chosen).expect("well-formed fixtures");
    report.failures.iter().for_each(|failure| println!("{failure:.300}"));
    println!("{} passed, {} failed", report.cases - report.failures.len(), report.failures.len());
}
