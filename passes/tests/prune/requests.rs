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
fn layers_have_shares_of_their_own() {
    insta::assert_snapshot!(channels_left("layers=[\"b=0.25\", \"c*=0.75\"]"), @r#""b" 6/8, "c" 9/12"#);
    insta::assert_snapshot!(channels_left("layers=[\"c=0\"], scope=global, ratio=0.25"), @r#""b" 6/8"#);
    insta::assert_snapshot!(channels_left("layers=[\"d=0.5\"]"), @"the pattern `d` matches no constant and no node with weights");
}

#[test]
fn what_is_left_is_scored_anew_after_each_step() {
    insta::assert_snapshot!(channels_left("steps=3"), @r#""b" 4/8, "c" 6/12"#);
    insta::assert_snapshot!(channels_left("steps=4, criterion=fpgm, scope=global"), @r#""b" 3/8, "c" 7/12"#);
    insta::assert_snapshot!(channels_left("steps=4, target=params, remove=0.3"), @r#""b" 7/8, "c" 10/12"#);
    insta::assert_snapshot!(channels_left("steps=0"), @"`steps` is 0, expected 1 to 1000");
    // By weights that both lose, the second channel of the first layer matters least; once the third of the second is gone, on
    // which it has its only large weight, even less.
    let graph = "
        g (float[N,1] x) => (float[N,1] y)
        <float[1,4] a = splat(1), float[4,4] b = {3, 3, 9, 3, 1, 1, 9, 1, 2, 2, 9, 2, 4, 4, 9, 4}, float[4,1] c = {9, 9, 1, 9}>
        {
          h = MatMul(x, a)
          i = MatMul(h, b)
          y = MatMul(i, c)
        }";
    for steps in [1, 4] {
        pruned(&format!("steps={steps}"), graph);
    }
}

#[test]
fn scores_are_made_to_compare_as_asked() {
    insta::assert_snapshot!(channels_left("normalize=mean, scope=global"), @r#""b" 4/8, "c" 6/12"#);
    insta::assert_snapshot!(channels_left("normalize=max, scope=global"), @r#""b" 5/8, "c" 5/12"#);
    insta::assert_snapshot!(channels_left("normalize=false, scope=global"), @r#""b" 6/8, "c" 4/12"#);
    insta::assert_snapshot!(channels_left("normalize=lamp, scope=global"), @r#""b" 5/8, "c" 5/12"#);
}

#[test]
fn a_share_of_the_whole_is_met() {
    insta::assert_snapshot!(channels_left("target=params, remove=0.4"), @r#""b" 6/8, "c" 9/12"#);
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
