module shiplight/platforms

go 1.23
