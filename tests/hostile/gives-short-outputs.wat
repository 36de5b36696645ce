;; Gives one output column whose values end too early.
;; replaces: spoil
;; refused: the metric broke the contract: sum: 4 bytes instead of 8
(func $spoil (param $result i32)
  (i32.store offset=12 (i32.load offset=4 (local.get $result)) (i32.const 4)))
