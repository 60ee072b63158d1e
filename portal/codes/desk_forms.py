"""What staff do with our words."""

from wtforms import HiddenField
from wtforms.validators import DataRequired, Length

from portal.web.forms import Form


class ReviewForm(Form):
    """Which words of a translation were read."""

    key = HiddenField(validators=[DataRequired(), Length(max=60)])
    fingerprint = HiddenField(validators=[DataRequired(), Length(max=64)])
