//! JSON that is kept in files: its names are pinned, and what older programs wrote can still be
//! read.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use fusion_mix::{
    accuracy::PublicLabels,
    mix::Mix,
    overview::{PlanOverview, plan_overview},
    plan::{Plan, PlanJson, PlanRequest},
    verify::Evidence,
};
use serde_json::{Value, json};

/// `value` with the key `new` under its old name.
fn renamed(mut value: Value, new: &str, old: &str) -> Value {
    let object = value.as_object_mut().unwrap();
    let held = object.remove(new).unwrap();
    object.insert(old.to_owned(), held);
    value
}

fn request() -> PlanRequest {
    PlanRequest::new(8, 40.0, PublicLabels::Certified { mismatch: 0.0, detect_below: None })
}

#[test]
fn plans_with_the_old_name_of_max_inconclusive() {
    let plan = Plan::evaluate(&request(), Mix::new(8, 12, 16, 2, 3).unwrap()).unwrap().to_json();
    let new = serde_json::to_value(&plan).unwrap();
    assert_eq!(new["max_inconclusive"], 3);
    assert_eq!(serde_json::from_value::<PlanJson>(new.clone()).unwrap(), plan);
    assert_eq!(serde_json::from_value::<PlanJson>(renamed(new, "max_inconclusive", "kappa")).unwrap(), plan);
}

#[test]
fn overviews_with_the_old_name_of_max_inconclusive() {
    let overview = plan_overview(&request(), None, None).unwrap();
    let new = serde_json::to_value(&overview).unwrap();
    assert_eq!(serde_json::from_value::<PlanOverview>(renamed(new, "max_inconclusive", "kappa")).unwrap(), overview);
}

#[test]
fn evidence_with_the_old_name_of_label_shift() {
    let mut new = serde_json::to_value(Evidence::default()).unwrap();
    new["label_shift"] = json!({ "distance": 0.5, "chance_limit": 0.25 });
    let evidence: Evidence = serde_json::from_value(new.clone()).unwrap();
    assert!(evidence.label_shift.unwrap().is_gross());
    assert_eq!(serde_json::from_value::<Evidence>(renamed(new, "label_shift", "drift")).unwrap(), evidence);
}
