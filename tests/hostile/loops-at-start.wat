;; Never comes into being.
;; replaces: imports
;; refused: cannot be started: the call took longer than 300 ms
(func $begin (loop $for-ever (br $for-ever)))
(start $begin)
