;; How a sample joins a sum.
(func $add (param $sum i64) (param $more i64) (result i64)
  (i64.add (local.get $sum) (local.get $more)))
