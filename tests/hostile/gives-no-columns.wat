;; Forgets its output.
;; replaces: spoil
;; refused: the metric broke the contract: 0 output columns instead of 1
(func $spoil (param $result i32)
  (i32.store offset=8 (local.get $result) (i32.const 0)))
