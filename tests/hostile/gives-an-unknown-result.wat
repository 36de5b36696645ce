;; Answers neither ok nor err.
;; replaces: spoil
;; refused: `evaluate` failed over sample input: the metric broke the contract:
(func $spoil (param $result i32)
  (i32.store8 (local.get $result) (i32.const 7)))
