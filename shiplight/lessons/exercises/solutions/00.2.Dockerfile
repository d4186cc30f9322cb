FROM busybox:latest
RUN head -c 5000000 /dev/urandom > /random
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
