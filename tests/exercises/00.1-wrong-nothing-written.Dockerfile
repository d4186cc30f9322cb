# hint: write them, and then delete
FROM busybox:latest
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
