;; Wants half a gigabyte before anything else.
;; replaces: memory
;; refused: cannot be started:
(memory (export "memory") 8192)
