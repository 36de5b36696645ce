;; Does not take up saved state.
;; replaces: load
;; refused: breaks a law: a state that was saved and loaded gives the same outputs
(func (export "weir:metric/metric-api@0.1.0#load") (param i32 i32 i32 i32 i32 i32 i32) (result i32)
  (call $ok))
