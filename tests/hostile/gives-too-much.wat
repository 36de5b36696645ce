;; Gives three megabytes of column, where one is the limit.
;; replaces: spoil
;; refused: the metric broke the contract: it gave more than the limit of 1048576 bytes
(func $spoil (param $result i32)
  (i32.store offset=8 (i32.load offset=4 (local.get $result)) (i32.const 65536))
  (i32.store offset=12 (i32.load offset=4 (local.get $result)) (i32.const 3145728)))
