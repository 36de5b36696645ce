;; Writes a line for every sum it shows. It does its work and passes: the lines are what is cut.
;; replaces: imports, output
;; passes
(import "weir:metric/host-log@0.1.0" "log" (func $log (param i32 i32 i32)))
(func $output (param $sum i64) (param $now i64) (result i64)
  ;; Level warn; the text is the head of the description, long enough to be cut.
  (i64.store (i32.const 4000000) (i64.const 0x6f6c206f6c6c6568))
  (call $log (i32.const 2) (i32.const 4000000) (i32.const 8))
  (local.get $sum))
