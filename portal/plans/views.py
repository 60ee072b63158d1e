"""The patient's pages for payment plans: importing this puts all of them on the blueprint."""

from portal.plans import plan_page_views
from portal.plans.agreeing import agreeing_views, setup_views
from portal.plans.blueprint import bp
from portal.plans.changing import views as changing_views
from portal.plans.collecting import by_hand_views

__all__ = ["agreeing_views", "bp", "by_hand_views", "changing_views", "plan_page_views", "setup_views"]
