# hint: to be written
FROM busybox:latest
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
