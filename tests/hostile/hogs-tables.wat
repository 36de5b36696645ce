;; Wants a table of ten million entries.
;; replaces: imports
;; refused: cannot be started:
(table 10000000 funcref)
