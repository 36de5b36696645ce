;; Gives null for an output that is never null.
;; replaces: spoil
;; refused: the metric broke the contract: sum is null, but is not described as nullable
(func $spoil (param $result i32)
  (i32.store offset=0 (i32.load offset=4 (local.get $result)) (call $zeroed (i32.const 1)))
  (i32.store offset=4 (i32.load offset=4 (local.get $result)) (i32.const 1)))
