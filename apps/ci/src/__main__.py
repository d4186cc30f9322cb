from report import said

print(said(1_500_000))
