;; How two sums become one.
(func $join (param $into i64) (param $from i64) (result i64)
  (i64.add (local.get $into) (local.get $from)))
