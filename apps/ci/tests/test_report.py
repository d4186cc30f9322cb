import unittest

from report import said


class TestReport(unittest.TestCase):
    def test_a_size_has_its_unit(self):
        self.assertEqual(said(1_500_000), "1.5 MB to move")
