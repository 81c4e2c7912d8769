"""The scoreboard: every detector against every model and against routers without an ALG."""
