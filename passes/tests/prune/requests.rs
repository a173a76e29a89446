//! What can be asked for, and what cannot.

use super::{pruned, run};

const TWO_LAYERS: &str = "
    g (float[N,3] x) => (float[N,2] y)
    <float[3,8] a = normal(seed=1), float[8,12] b = normal(seed=2), float[12,2] c = normal(seed=3)>
    {
      h = MatMul(x, a)
      i = Relu(h)
      j = MatMul(i, b)
      y = MatMul(j, c)
    }";

fn channels_left(options: &str) -> String {
    let (_, report) = run(&format!("prune-channels{{{options}}}"), TWO_LAYERS);
    let report = match report {
        Ok(report) => report,
        Err(error) => return error.rsplit("}: ").next().unwrap().to_owned(),
    };
    let plan = report.passes[0].plan.clone().unwrap();
    let groups = plan["groups"].as_array().unwrap().iter();
    groups
        .map(|group| format!("{} {}/{}", group["name"], group["kept"].as_array().unwrap().len(), group["channels"]))
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn limits_are_kept() {
    insta::assert_snapshot!(channels_left("ratio=0.5"), @r#""b" 4/8, "c" 6/12"#);
    insta::assert_snapshot!(channels_left("ratio=0.6, round-to=4"), @r#""b" 4/8, "c" 8/12"#);
    insta::assert_snapshot!(channels_left("ratio=0.9, min-channels=3"), @r#""b" 3/8, "c" 3/12"#);
    insta::assert_snapshot!(channels_left("ratio=0.9, max-ratio=0.25"), @r#""b" 6/8, "c" 9/12"#);
    insta::assert_snapshot!(channels_left("include=[c]"), @r#""c" 6/12"#);
    insta::assert_snapshot!(channels_left("exclude=[c]"), @r#""b" 4/8"#);
}

#[test]
fn a_share_of_the_whole_is_met() {
    insta::assert_snapshot!(channels_left("target=params, remove=0.4"), @"at most 37.5 % of the params can be removed within the limits, 40.0 % are asked for");
    insta::assert_snapshot!(channels_left("target=macs, remove=0.4, scope=global"), @r#""b" 6/8, "c" 8/12"#);
}

#[test]
fn every_criterion_chooses() {
    for criterion in ["l1", "l2", "random", "bn-scale", "fpgm"] {
        for aggregate in ["mean", "max", "sum"] {
            pruned(&format!("criterion={criterion}, aggregate={aggregate}, scope=global"), TWO_LAYERS);
        }
    }
}

#[test]
fn what_cannot_be_met_is_refused() {
    insta::assert_snapshot!(channels_left("include=[nobody*]"), @"the pattern `nobody*` matches no constant and no node with weights");
    insta::assert_snapshot!(channels_left("target=params"), @"`target` needs `remove`, the share to remove");
    insta::assert_snapshot!(channels_left("remove=0.5"), @"`remove` needs `target`, what it is a share of");
    insta::assert_snapshot!(channels_left("target=params, remove=0.99"), @"at most 95.8 % of the params can be removed within the limits, 99.0 % are asked for");
    insta::assert_snapshot!(channels_left("round-to=0"), @"`round-to` is 0, expected at least 1");
}
