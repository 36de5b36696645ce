;; Says that it carries four thousand million metrics.
;; replaces: describe
;; refused: describe failed: the metric broke the contract:
(func (export "weir:metric/metric-api@0.1.0#describe") (result i32)
  (i32.store (i32.const 2097152) (i32.load (i32.const 65536)))
  (i32.store (i32.const 2097156) (i32.const -1))
  (i32.const 2097152))
