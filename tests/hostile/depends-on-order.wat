;; A running hash in place of a sum.
;; replaces: add
;; refused: breaks a law: merging two slots gives what accumulating all their samples gives
(func $add (param $sum i64) (param $more i64) (result i64)
  (i64.add (i64.mul (local.get $sum) (i64.const 31)) (local.get $more)))
