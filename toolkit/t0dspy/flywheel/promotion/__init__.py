"""The promotion test: is a challenger better than the incumbent, on examples that neither has seen?"""
