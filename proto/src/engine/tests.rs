use super::model;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 5000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_applications_do(choice in any::<u8>(), steps in proptest::collection::vec(any::<[u8; 3]>(), 0..500)) {
        model::run(&core::iter::once(choice).chain(steps.into_iter().flatten()).collect::<Vec<_>>());
    }
}
