;; Gives a column that lies beyond its memory.
;; replaces: spoil
;; refused: `evaluate` failed over sample input: the metric broke the contract:
(func $spoil (param $result i32)
  (i32.store offset=4 (local.get $result) (i32.const 0x7ffffff8)))
