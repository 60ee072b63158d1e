"""Read by gunicorn in the directory it is started in; what stands on its command line wins."""

from portal.web.gunicorn_hooks import post_worker_init

__all__ = ["post_worker_init"]
