;; Depends on `now` without saying so.
;; replaces: output
;; refused: breaks a law: outputs do not depend on the clock unless it is described as time-varying
(func $output (param $sum i64) (param $now i64) (result i64)
  (i64.add (local.get $sum) (i64.div_s (local.get $now) (i64.const 1000000000000))))
